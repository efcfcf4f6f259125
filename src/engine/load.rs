//! Which backend runs an engine. The choice is logged once and stands in the loaded engine's name; a backend
//! that was asked for by name is never replaced by another one silently.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub use crate::config::Backend;

use super::manifest::Manifest;
use super::onnxruntime::{self, OnnxRuntime};
use super::rten::Rten;
use super::tensorrt::{self, Store, Want};
use super::{Engine, EngineError, EngineErrorKind};

/// How an engine is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which library runs it.
    pub backend: Backend,
    /// Threads of one inference, at least 1.
    pub threads: usize,
    /// ONNX Runtime's library, or the folder that holds it; else `ORT_DYLIB_PATH` and the usual places.
    pub ort_dylib: Option<PathBuf>,
    /// Folder of TensorRT's plans, looked through before `plans` in the engine's own.
    pub plans: Option<PathBuf>,
    /// Which plan is looked for first.
    pub want: Want,
}

impl Choice {
    /// Where plans for `manifest` may lie.
    pub fn stores(&self, manifest: &Manifest) -> Vec<Store> {
        Store::all_of(manifest, self.plans.as_deref())
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self { backend: Backend::Auto, threads: 1, ort_dylib: None, plans: None, want: Want::default() }
    }
}

/// Loads the engine of `manifest`: hash checked, shapes held against the manifest, run once over zeros.
pub fn load(manifest: &Manifest, choice: &Choice) -> Result<Box<dyn Engine>, EngineError> {
    load_told(manifest, choice).map(|(engine, _)| engine)
}

/// As [`load`], with the reason why no better backend was taken, where there is one.
pub fn load_told(manifest: &Manifest, choice: &Choice) -> Result<(Box<dyn Engine>, Option<String>), EngineError> {
    let mut reason = None;
    let bytes = manifest.model_bytes()?;
    let place = manifest.name.as_str();
    let rten = |bytes| Rten::load(place, bytes, choice.threads).map(|e| Box::new(e) as Box<dyn Engine>);
    let ort = |bytes: &[u8]| {
        let dylib = onnxruntime::find(choice.ort_dylib.as_deref())?;
        let engine = OnnxRuntime::load(place, bytes, choice.threads, &dylib)?;
        Ok::<_, EngineError>((Box::new(engine) as Box<dyn Engine>, dylib))
    };
    let trt = || tensorrt::load(manifest, &choice.stores(manifest), choice.want);
    let mut why = String::new();
    let on_gpu = match choice.backend {
        Backend::TensorRt => Some(trt()?),
        // Whatever keeps TensorRT from running, the CPU sells.
        Backend::Auto if tensorrt::is_built_in() => match trt() {
            Ok(engine) => Some(engine),
            Err(e) => {
                // What the machine lacks is said once, not for each engine of the counter.
                static LAST: Mutex<String> = Mutex::new(String::new());
                let news = is_news(&mut LAST.lock().unwrap_or_else(PoisonError::into_inner), &e.message);
                let level = if news { log::Level::Warn } else { log::Level::Debug };
                log::log!(level, "{e}; the CPU takes over");
                reason = Some(e.to_string());
                None
            }
        },
        _ => None,
    };
    let engine = match on_gpu {
        Some(engine) => engine,
        None if choice.backend == Backend::Rten => rten(bytes)?,
        None => match ort(&bytes) {
            Ok((engine, dylib)) => {
                why = format!(", {}", dylib.display());
                engine
            }
            // Only an absent library makes room for rten; a model that fails is a failure.
            Err(e) if choice.backend == Backend::Auto && e.kind == EngineErrorKind::Backend => {
                why = format!(", because {e}");
                reason.get_or_insert_with(|| e.to_string());
                rten(bytes)?
            }
            Err(e) => return Err(e),
        },
    };
    check(manifest, engine.as_ref())?;
    let (asked, threads) = (choice.backend, choice.threads.max(1));
    log::info!("engine {place}: backend {} (asked for {asked}{why}), {threads} thread(s)", engine.backend());
    Ok((engine, reason))
}

/// Whether `reason` is another one than the last, which it becomes.
fn is_news(last: &mut String, reason: &str) -> bool {
    let news = last != reason;
    reason.clone_into(last);
    news
}

/// Holds the model's tensors against the manifest.
fn check(manifest: &Manifest, engine: &dyn Engine) -> Result<(), EngineError> {
    let error = |m| Err(EngineError::new(EngineErrorKind::Manifest, manifest.name.as_str(), m));
    let (input, want) = (engine.input(), &manifest.input);
    if input.name != want.name || input.shape != want.shape() {
        return error(format!(
            "the model's input is {:?} {:?}, the manifest says {:?} {:?}",
            input.name,
            input.shape,
            want.name,
            want.shape()
        ));
    }
    let names: Vec<&str> = engine.outputs().iter().map(|o| o.name.as_str()).collect();
    if let Some(absent) = manifest.head.outputs().into_iter().find(|name| !names.contains(name)) {
        return error(format!("the model has no output {absent:?}; it has {names:?}"));
    }
    Ok(())
}

/// The backends that this machine can run, in the order of preference. Whether TensorRT has a plan for an engine shows
/// when it is loaded.
pub fn available(choice: &Choice) -> Vec<Backend> {
    let mut found = Vec::new();
    if tensorrt::is_built_in() && tensorrt::probe().is_ok() {
        found.push(Backend::TensorRt);
    }
    if onnxruntime::find(choice.ort_dylib.as_deref()).is_ok() {
        found.push(Backend::OnnxRuntime);
    }
    found.push(Backend::Rten);
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::head::{HeadSpec, OneOutput};

    fn blobs() -> Manifest {
        Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs")).unwrap()
    }

    /// Loads with `backend`, or says why not.
    fn try_load(manifest: &Manifest, backend: Backend) -> Option<Box<dyn Engine>> {
        match load(manifest, &Choice { backend, ..Choice::default() }) {
            Ok(engine) => Some(engine),
            Err(e) if e.kind == EngineErrorKind::Backend => {
                println!("skipped: {e}");
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    #[test]
    fn each_backend_reads_what_stands_in_its_input_at_each_run() {
        for backend in [Backend::Rten, Backend::OnnxRuntime] {
            let Some(mut engine) = try_load(&blobs(), backend) else { continue };
            assert_eq!(engine.backend(), backend.as_str());
            assert_eq!((engine.input().name.as_str(), &engine.input().shape[..]), ("images", &[1, 3, 64, 64][..]));
            assert_eq!(engine.outputs()[0].shape, [1, 9, 49]);
            assert!(engine.output(0).is_empty() && engine.output(9).is_empty());
            // Red everywhere: label 0, row 4 of the output, is all but certain; then blue: label 2, row 6.
            for (plane, row) in [(0usize, 4usize), (2, 6)] {
                let input = engine.input_mut();
                input.fill(0.0);
                input[plane * 64 * 64..(plane + 1) * 64 * 64].fill(1.0);
                engine.run().unwrap();
                for class in 4..9 {
                    let score = engine.output(0)[class * 49 + 24];
                    assert_eq!(score > 0.5, class == row, "{backend} plane {plane} row {class}: {score}");
                }
                assert_eq!(engine.output(0)[24], 32.0, "centre of the middle box");
            }
        }
    }

    #[test]
    fn tensorrt_and_a_missing_library_are_refused_by_name() {
        let e = load(&blobs(), &Choice { backend: Backend::TensorRt, ..Choice::default() }).err().unwrap();
        let why = if tensorrt::is_built_in() { "libnvinfer" } else { "without TensorRT" };
        let rtx = e.message.contains("libtensorrt_rtx");
        assert!(e.kind == EngineErrorKind::Backend && (rtx || e.message.contains(why)), "{e}");
        let ort_dylib = Some("/nowhere/libonnxruntime.so".into());
        let choice = Choice { backend: Backend::OnnxRuntime, ort_dylib, ..Choice::default() };
        let e = load(&blobs(), &choice).err().unwrap();
        assert_eq!((e.kind, e.place.as_str()), (EngineErrorKind::Backend, "/nowhere/libonnxruntime.so"));
        // By choice `auto` the same absence leads to rten.
        let engine = load(&blobs(), &Choice { backend: Backend::Auto, ..choice }).unwrap();
        assert_eq!(engine.backend(), "rten");
    }

    #[test]
    fn a_reason_is_said_once_until_it_changes() {
        let mut last = String::new();
        let news = ["no GPU", "no GPU", "no plan", "no GPU"].map(|reason| is_news(&mut last, reason));
        assert_eq!(news, [true, false, true, true]);
    }

    #[test]
    fn a_manifest_that_contradicts_the_model_and_a_broken_model_are_errors() {
        let mut m = blobs();
        m.input.width = 32;
        let rten = Choice { backend: Backend::Rten, ..Choice::default() };
        let e = load(&m, &rten).err().unwrap();
        assert!(e.kind == EngineErrorKind::Manifest && e.message.contains("[1, 3, 64, 32]"), "{e}");
        let mut m = blobs();
        m.head = HeadSpec::YoloV8(OneOutput { output: "boxes".into() });
        assert!(load(&m, &rten).err().unwrap().message.contains("output0"));
        for bytes in [vec![], vec![0xff; 4000], b"\x08\x07".to_vec()] {
            let e = Rten::load("x", bytes.clone(), 1).err().unwrap();
            assert_eq!(e.kind, EngineErrorKind::Model, "{e}");
            let Ok(dylib) = onnxruntime::find(None) else { continue };
            let e = OnnxRuntime::load("x", &bytes, 1, &dylib).err().unwrap();
            assert_eq!(e.kind, EngineErrorKind::Model, "{e}");
        }
    }
}
