//! TensorRT, the appliance's own backend: a C++ shim with a C ABI (`shim.h`, compiled with feature `tensorrt`), safe
//! Rust on top, and the plans it builds. The libraries are loaded at run time; without them, without a GPU or without
//! a checked plan the next backend takes over and the log says why. `docs/engines.md` says what ran where.

#[cfg(feature = "tensorrt")]
pub mod backend;
#[cfg(feature = "tensorrt")]
#[allow(unsafe_code, reason = "callbacks and buffers of a C ABI")]
pub mod builder;
#[cfg(feature = "tensorrt")]
#[allow(unsafe_code, missing_docs, reason = "the border itself; shim.h has the words")]
mod ffi;
#[cfg(feature = "tensorrt")]
#[allow(unsafe_code, reason = "calls of a C ABI")]
pub mod library;
#[cfg(feature = "tensorrt")]
pub mod lifecycle;
pub mod plans;
#[cfg(feature = "tensorrt")]
#[allow(unsafe_code, reason = "memory of CUDA's, calls of a C ABI")]
pub mod run;
pub mod watch;

pub use plans::{Key, Precision, Store, Want};

use super::{Engine, EngineError, EngineErrorKind, Manifest};

/// Why this program has no TensorRT.
#[cfg(not(feature = "tensorrt"))]
const WITHOUT: &str = "this till was built without TensorRT; set backend to \"auto\", \"onnxruntime\" or \"rten\"";

/// Loads the checked plan of `manifest`'s model that `want` puts first, from the first of `stores` that has one for the
/// library and GPU of this machine. An error of any kind means that this rung can't be had, and the next one can.
#[cfg(feature = "tensorrt")]
pub fn load(manifest: &Manifest, stores: &[Store], want: Want) -> Result<Box<dyn Engine>, EngineError> {
    let engine = backend::TensorRt::load(manifest, stores, want, &library::Paths::default());
    engine.map(|e| Box::new(e) as Box<dyn Engine>).map_err(|e| EngineError { kind: EngineErrorKind::Backend, ..e })
}

/// As with the feature; always an error.
#[cfg(not(feature = "tensorrt"))]
pub fn load(manifest: &Manifest, _stores: &[Store], _want: Want) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::new(EngineErrorKind::Backend, manifest.name.as_str(), WITHOUT))
}

/// Hands every checked plan of `manifest`'s model for the library and GPU of this machine, loaded, to `take`; none without
/// TensorRT or a GPU, with a word in the log.
///
/// # Errors
/// Those of `take`.
#[cfg(feature = "tensorrt")]
pub fn load_each(
    manifest: &Manifest,
    stores: &[Store],
    mut take: impl FnMut(Box<dyn Engine>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut failed = Ok(());
    let ended = backend::TensorRt::load_each(manifest, stores, &library::Paths::default(), |engine| {
        failed = take(Box::new(engine));
        failed.clone()
    });
    if let (Ok(()), Err(e)) = (&failed, ended) {
        log::info!("{e}");
    }
    failed
}

/// As with the feature; always none.
#[cfg(not(feature = "tensorrt"))]
pub fn load_each(
    _manifest: &Manifest,
    _stores: &[Store],
    _take: impl FnMut(Box<dyn Engine>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    Ok(())
}

/// Whether libraries and GPU are here, whatever plans there are; else why not.
#[cfg(feature = "tensorrt")]
pub fn probe() -> Result<(), EngineError> {
    let library = library::Library::open(&library::Paths::default());
    library.and_then(|library| library.probe()).map(|_| ()).map_err(|f| f.at("tensorrt"))
}

/// As with the feature; always an error.
#[cfg(not(feature = "tensorrt"))]
pub fn probe() -> Result<(), EngineError> {
    Err(EngineError::new(EngineErrorKind::Backend, "tensorrt", WITHOUT))
}

/// Whether this program can use TensorRT at all.
pub const fn is_built_in() -> bool {
    cfg!(feature = "tensorrt")
}
