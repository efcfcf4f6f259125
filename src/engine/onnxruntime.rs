//! The backend of choice where its library is found: ONNX Runtime through `ort`, loaded at run time. Input
//! and outputs are bound once, so that a run allocates nothing of ours and copies nothing. Must never
//! panic because the library is absent, of another machine or too old: it is looked at before it is loaded.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{IoBinding, Session};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use super::{Engine, EngineError, EngineErrorKind, TensorSpec};

/// Folders that are searched after the setting and `ORT_DYLIB_PATH`; then come `/opt/*` and `/opt/*/lib`.
pub const USUAL_PLACES: &[&str] = &[
    "/var/lib/till/lib",
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

const LIBRARY: &str = "libonnxruntime.so";

/// The library serves the whole process once it is loaded; a second path can't replace the first.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Where the library lies: `setting` (a file, or a folder that holds it) if there is one, else
/// `ORT_DYLIB_PATH`, else the usual places. A setting that leads nowhere is an error, not a reason to look
/// elsewhere; `ORT_DYLIB_PATH` likewise.
pub fn find(setting: Option<&Path>) -> Result<PathBuf, EngineError> {
    let env = std::env::var_os("ORT_DYLIB_PATH").filter(|s| !s.is_empty()).map(PathBuf::from);
    let mut places: Vec<PathBuf> = USUAL_PLACES.iter().map(PathBuf::from).collect();
    let mut opt: Vec<PathBuf> =
        std::fs::read_dir("/opt").into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    opt.sort();
    places.extend(opt.into_iter().flat_map(|p| [p.join("lib"), p]));
    let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    find_in(setting, env.as_deref(), &places)
}

fn find_in(setting: Option<&Path>, env: Option<&Path>, places: &[&Path]) -> Result<PathBuf, EngineError> {
    for (named, by) in [(setting, "the setting"), (env, "ORT_DYLIB_PATH")] {
        let Some(path) = named else { continue };
        let found = if path.is_dir() { newest_in(path) } else { path.is_file().then(|| path.to_path_buf()) };
        return found.ok_or_else(|| backend_error(path, format!("no {LIBRARY} there; {by} names it")));
    }
    places.iter().find_map(|p| newest_in(p)).ok_or_else(|| {
        let tried = places.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        let message =
            format!("not found in {tried}; install ONNX Runtime 1.17 or newer, or name the file in ORT_DYLIB_PATH");
        backend_error(Path::new(LIBRARY), message)
    })
}

/// `libonnxruntime.so` in `dir`, or the highest `libonnxruntime.so.X.Y.Z`.
fn newest_in(dir: &Path) -> Option<PathBuf> {
    let version = |path: &Path| -> Option<Vec<u32>> {
        let rest = path.file_name()?.to_str()?.strip_prefix(LIBRARY)?;
        if rest.is_empty() {
            return Some(vec![u32::MAX]);
        }
        rest.strip_prefix('.')?.split('.').map(|n| n.parse().ok()).collect()
    };
    std::fs::read_dir(dir)
        .ok()?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_file())
        .filter_map(|p| Some((version(&p)?, p)))
        .max()
        .map(|(_, p)| p)
}

fn backend_error(path: &Path, message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Backend, path.display().to_string(), format!("onnxruntime: {message}"))
}

/// A shared object of this machine begins so; `dlopen` of anything else may end the process.
fn check_elf(path: &Path) -> Result<(), EngineError> {
    let mut head = [0u8; 20];
    std::fs::File::open(path)
        .and_then(|mut f| f.read_exact(&mut head))
        .map_err(|e| backend_error(path, format!("can't be read: {e}")))?;
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let ours = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        "arm" => 40,
        _ => machine,
    };
    if !head.starts_with(b"\x7fELF") {
        return Err(backend_error(path, "is no shared library".into()));
    }
    if machine != ours {
        let message =
            format!("is built for ELF machine {machine}; this machine ({}) needs {ours}", std::env::consts::ARCH);
        return Err(backend_error(path, message));
    }
    Ok(())
}

/// The process's environment, made from the library at `path` the first time.
fn environment(path: &Path) -> Result<Environment, EngineError> {
    let mut loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((first, env)) = &*loaded {
        if first != path {
            log::warn!("onnxruntime: {} serves this process; {} is ignored", first.display(), path.display());
        }
        return Ok(env.clone());
    }
    check_elf(path)?;
    let env = ort::init_from(path)
        .map_err(|e| backend_error(path, e.to_string()))?
        .with_name("till")
        .build()
        .map_err(|e| backend_error(path, e.to_string()))?;
    *loaded = Some((path.to_path_buf(), env.clone()));
    Ok(env)
}

/// A model loaded by ONNX Runtime on the CPU.
pub struct OnnxRuntime {
    place: String,
    session: Session,
    binding: IoBinding,
    input: TensorSpec,
    outputs: Vec<TensorSpec>,
    buffer: Tensor<f32>,
    results: Vec<Tensor<f32>>,
    ran: bool,
}

impl OnnxRuntime {
    /// Loads the ONNX model in `bytes` with the library at `dylib` (see [`find`]) and `threads` threads.
    /// `place` names the engine in errors.
    pub fn load(place: &str, bytes: &[u8], threads: usize, dylib: &Path) -> Result<Self, EngineError> {
        let env = environment(dylib)?;
        let error = |m: String| EngineError::new(EngineErrorKind::Model, place, format!("onnxruntime: {m}"));
        let text = |e: ort::Error| error(e.to_string());
        let session = session(&env, bytes, threads).map_err(|m| error(format!("can't load the model: {m}")))?;
        let [input] = session.inputs() else {
            return Err(error(format!("the model has {} inputs, one is read", session.inputs().len())));
        };
        let input = spec(input).map_err(error)?;
        let outputs = session.outputs().iter().map(spec).collect::<Result<Vec<_>, _>>().map_err(error)?;
        let allocator = Allocator::default();
        let mut buffer = Tensor::<f32>::new(&allocator, input.shape.clone()).map_err(text)?;
        buffer.extract_tensor_mut().1.fill(0.0);
        let mut binding = session.create_binding().map_err(text)?;
        binding.bind_input(input.name.as_str(), &buffer).map_err(text)?;
        let mut results = Vec::new();
        for spec in &outputs {
            let mut tensor = Tensor::<f32>::new(&allocator, spec.shape.clone()).map_err(text)?;
            tensor.extract_tensor_mut().1.fill(0.0);
            binding.bind_output(spec.name.as_str(), &mut tensor).map_err(text)?;
            results.push(tensor);
        }
        let place = place.to_owned();
        let mut this = Self { place, session, binding, input, outputs, buffer, results, ran: false };
        // Warms the arena up and shows a model that loads but can't run.
        this.run()?;
        this.ran = false;
        Ok(this)
    }
}

fn session(env: &Environment, bytes: &[u8], threads: usize) -> Result<Session, String> {
    let builder = Session::builder(env).map_err(|e| e.to_string())?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|e| e.to_string())?;
    let builder = builder.with_intra_threads(threads.max(1)).map_err(|e| e.to_string())?;
    // A worker that spins between two frames burns the core that capture and preprocessing need.
    let builder = builder.with_intra_op_spinning(false).map_err(|e| e.to_string())?;
    // A plan of a run's memory is one block beside those of the first run, which stay, too: without it the nets of the face
    // camera need 11 MB less and take as long. Weights of their own blocks leave no holes where they were packed: 2 MB.
    let builder = builder.with_memory_pattern(false).map_err(|e| e.to_string())?;
    let own_blocks = "session.use_device_allocator_for_initializers";
    let mut builder = builder.with_config_entry(own_blocks, "1").map_err(|e| e.to_string())?;
    builder.commit_from_memory(bytes).map_err(|e| e.to_string())
}

fn spec(outlet: &Outlet) -> Result<TensorSpec, String> {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() else {
        return Err(format!("{name:?} is {}, a tensor of f32 is read", outlet.dtype()));
    };
    let shape = shape
        .iter()
        .map(|&d| {
            usize::try_from(d).map_err(|_| format!("{name:?} has a dynamic dimension; export it with static shapes"))
        })
        .collect::<Result<_, _>>()?;
    Ok(TensorSpec { name, shape })
}

impl Engine for OnnxRuntime {
    fn backend(&self) -> &'static str {
        "onnxruntime"
    }

    fn input(&self) -> &TensorSpec {
        &self.input
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn input_mut(&mut self) -> &mut [f32] {
        self.buffer.extract_tensor_mut().1
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let place = &self.place;
        self.session
            .run_binding(&self.binding)
            .map_err(|e| EngineError::new(EngineErrorKind::Run, place.as_str(), format!("onnxruntime: {e}")))?;
        self.ran = true;
        Ok(())
    }

    fn output(&self, index: usize) -> &[f32] {
        match self.results.get(index) {
            Some(tensor) if self.ran => tensor.extract_tensor().1,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_prefers_the_setting_and_never_goes_past_one_that_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.17.3", "libonnxruntime.so.old"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let highest = dir.path().join("libonnxruntime.so.1.17.3");
        assert_eq!(find_in(None, None, &[Path::new("/nowhere"), dir.path()]).unwrap(), highest);
        assert_eq!(find_in(Some(dir.path()), Some(Path::new("/nowhere")), &[]).unwrap(), highest);
        for (setting, env) in [(Some(Path::new("/nowhere/x.so")), None), (None, Some(Path::new("/nowhere/x.so")))] {
            let e = find_in(setting, env, &[dir.path()]).unwrap_err();
            assert_eq!((e.kind, e.place.as_str()), (EngineErrorKind::Backend, "/nowhere/x.so"));
        }
        let e = find_in(None, None, &[Path::new("/nowhere")]).unwrap_err();
        assert!(e.message.contains("ORT_DYLIB_PATH"), "{e}");
    }

    #[test]
    fn a_library_that_is_none_is_refused_before_it_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libonnxruntime.so");
        for (bytes, word) in [(&b"short"[..], "can't be read"), (&[0u8; 64][..], "no shared library")] {
            std::fs::write(&path, bytes).unwrap();
            let e = check_elf(&path).unwrap_err();
            assert!(e.kind == EngineErrorKind::Backend && e.message.contains(word), "{e}");
        }
        let mut elf = [0u8; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 8; // MIPS
        std::fs::write(&path, elf).unwrap();
        assert!(check_elf(&path).unwrap_err().message.contains("machine 8"));
    }
}
