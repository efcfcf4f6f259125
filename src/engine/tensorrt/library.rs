//! The loaded libraries: versions compared, CUDA probed, TensorRT's log bridged to ours. Everything else holds an
//! `Arc` of it.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use super::ffi;
use crate::engine::{EngineError, EngineErrorKind};

/// TensorRT's last lines that an error carries.
const LOG_LINES: usize = 8;

/// What kind of failure the shim reported; the numbers of `till_trt_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A mistake of ours.
    Argument,
    /// A library or symbol is not there.
    Library,
    /// Library and headers differ.
    Version,
    /// CUDA said no.
    Cuda,
    /// TensorRT gave no object.
    Create,
    /// The ONNX parser refused the model.
    Parse,
    /// The builder gave no plan.
    Build,
    /// A plan can't be loaded.
    Load,
    /// An address was refused.
    Bind,
    /// An inference could not be queued.
    Enqueue,
    /// This version or board has no such thing.
    Unsupported,
    /// An exception was caught at the border.
    Exception,
}

/// A failure of TensorRT or CUDA.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Decides what happens next.
    pub code: Code,
    /// CUDA's error number, 0 without one.
    pub cuda: i32,
    /// For people, with TensorRT's own last lines.
    pub message: String,
}

impl Failure {
    /// After these CUDA errors every later call of the process fails until the device is reset (CUDA's
    /// documentation of `cudaError_t`: "the process must be terminated and relaunched" or the context is corrupted).
    pub fn is_sticky(&self) -> bool {
        matches!(self.cuda, 214 | 220 | 226 | 700 | 702 | 710 | 714..=719 | 721 | 999)
    }

    /// As the room's error.
    pub fn at(self, place: &str) -> EngineError {
        let kind = match self.code {
            // No object: memory may be short, which is not the plan's fault.
            Code::Library | Code::Version | Code::Cuda | Code::Unsupported | Code::Create => EngineErrorKind::Backend,
            Code::Parse | Code::Build | Code::Load => EngineErrorKind::Model,
            _ => EngineErrorKind::Run,
        };
        EngineError::new(kind, place, format!("tensorrt: {self}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where the libraries lie; what is `None` is looked for by its soname.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// `libnvinfer`.
    pub infer: Option<PathBuf>,
    /// `libnvonnxparser`.
    pub parser: Option<PathBuf>,
    /// `libcudart`.
    pub cudart: Option<PathBuf>,
}

/// Versions of headers and library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Major and minor of the headers this program was built with.
    pub header: (i32, i32),
    /// Major, minor and patch of the library.
    pub library: (i32, i32, i32),
    /// TensorRT-RTX.
    pub rtx: bool,
    /// FP16 and INT8 are the builder's choice; else the model's own types are the plan's.
    pub weak_typing: bool,
    /// The ONNX parser is there: plans can be built.
    pub has_parser: bool,
    /// CUDA's runtime is there.
    pub has_cudart: bool,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.library;
        write!(f, "TensorRT{} {major}.{minor}.{patch}", if self.rtx { "-RTX" } else { "" })
    }
}

/// The GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Compute capability; the Nano has (5, 3).
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// CPU and GPU share the memory.
    pub integrated: bool,
    /// Host memory can be mapped.
    pub can_map: bool,
    /// Driver's and runtime's version as CUDA counts, 10020 for 10.2.
    pub cuda: (i32, i32),
    /// Bytes.
    pub memory: u64,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(f, "sm{major}{minor}-{}sm-{}mib", self.multiprocessors, self.memory >> 20)
    }
}

/// What the board is fast at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `platformHasFastFp16()`.
    pub fp16: bool,
    /// `platformHasFastInt8()`.
    pub int8: bool,
    /// DLA cores.
    pub dla_cores: i32,
}

/// TensorRT's last warnings and errors.
#[derive(Default)]
struct Lines(Mutex<VecDeque<String>>);

/// The libraries, loaded.
pub struct Library {
    raw: NonNull<ffi::Lib>,
    // Boxed: the shim's logger holds its address.
    lines: Box<Lines>,
}

// SAFETY: the handle holds function pointers, versions and the logger, none of which changes after `open`; TensorRT's
// create functions and CUDA's runtime may be called from any thread (developer guide, "Threading"), and the logger
// takes a lock.
unsafe impl Send for Library {}
// SAFETY: as above; objects made from it are not `Sync` and see to themselves.
unsafe impl Sync for Library {}

impl Library {
    /// Loads the libraries and compares their version with the headers' before anything is made.
    pub fn open(paths: &Paths) -> Result<Arc<Self>, Failure> {
        let c = |p: &Option<PathBuf>| p.as_deref().map(c_path).transpose();
        let (infer, parser, cudart) = (c(&paths.infer)?, c(&paths.parser)?, c(&paths.cudart)?);
        let pointer = |s: &Option<CString>| s.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
        let lines = Box::new(Lines::default());
        let options = ffi::OpenOptions {
            infer: pointer(&infer),
            parser: pointer(&parser),
            cudart: pointer(&cudart),
            log: Some(log),
            user: (&raw const *lines).cast_mut().cast(),
            ..ffi::OpenOptions::default()
        };
        let mut raw = std::ptr::null_mut();
        let mut error = ffi::Error::default();
        // SAFETY: the strings live until the call returns, `lines` as long as the handle that is made.
        let code = unsafe { ffi::till_trt_open(&raw const options, &raw mut raw, &raw mut error) };
        lines.check(code, &error)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure(Code::Create, "open gave no handle"))?;
        Ok(Arc::new(Self { raw, lines }))
    }

    pub(super) fn raw(&self) -> *mut ffi::Lib {
        self.raw.as_ptr()
    }

    /// An error of the shim's as ours.
    pub(super) fn check(&self, code: i32, error: &ffi::Error) -> Result<(), Failure> {
        self.lines.check(code, error)
    }

    /// Versions.
    pub fn info(&self) -> Result<Info, Failure> {
        let (mut info, mut error) = (ffi::Info::default(), ffi::Error::default());
        // SAFETY: all three pointers are valid for the call.
        let code = unsafe { ffi::till_trt_library(self.raw(), &raw mut info, &raw mut error) };
        self.check(code, &error)?;
        Ok(Info {
            header: (info.header_major, info.header_minor),
            library: (info.library_major, info.library_minor, info.library_patch),
            rtx: info.rtx != 0,
            weak_typing: info.weak_typing != 0,
            has_parser: info.has_parser != 0,
            has_cudart: info.has_cudart != 0,
        })
    }

    /// The GPU, asked before TensorRT makes anything: without a driver some create calls give garbage.
    pub fn probe(&self) -> Result<Device, Failure> {
        let (mut device, mut error) = (ffi::Device::default(), ffi::Error::default());
        // SAFETY: all three pointers are valid for the call.
        let code = unsafe { ffi::till_trt_probe(self.raw(), &raw mut device, &raw mut error) };
        self.check(code, &error)?;
        Ok(Device {
            capability: (device.cc_major, device.cc_minor),
            multiprocessors: device.multiprocessors,
            integrated: device.integrated != 0,
            can_map: device.can_map != 0,
            cuda: (device.driver, device.runtime),
            memory: device.memory_bytes,
        })
    }

    /// What the board is fast at. Makes a builder: probe first.
    pub fn platform(&self) -> Result<Platform, Failure> {
        let (mut info, mut error) = (ffi::Platform::default(), ffi::Error::default());
        // SAFETY: all three pointers are valid for the call.
        let code = unsafe { ffi::till_trt_platform(self.raw(), &raw mut info, &raw mut error) };
        self.check(code, &error)?;
        Ok(Platform { fp16: info.fp16 != 0, int8: info.int8 != 0, dla_cores: info.dla_cores })
    }

    /// Resets the device after a sticky error. Whatever was allocated before is gone: drop it first.
    pub(super) fn reset(&self) -> Result<(), Failure> {
        let mut error = ffi::Error::default();
        // SAFETY: both pointers are valid for the call; the caller has dropped its buffers.
        let code = unsafe { ffi::till_trt_reset(self.raw(), &raw mut error) };
        self.check(code, &error)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: made by till_trt_open, closed once; whatever was made from it holds an Arc of us.
        unsafe { ffi::till_trt_close(self.raw()) }
    }
}

/// Versions of the headers this program was built with; nothing is loaded.
pub fn header() -> (i32, i32, bool) {
    let (mut info, mut error) = (ffi::Info::default(), ffi::Error::default());
    // SAFETY: both pointers are valid for the call.
    let code = unsafe { ffi::till_trt_header(&raw mut info, &raw mut error) };
    debug_assert_eq!(code, ffi::OK);
    (info.header_major, info.header_minor, info.rtx != 0)
}

impl Lines {
    fn check(&self, code: i32, error: &ffi::Error) -> Result<(), Failure> {
        let code = match code {
            // What it said on the way to a success belongs to no later error.
            ffi::OK => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return Ok(());
            }
            1 => Code::Argument,
            2 => Code::Library,
            3 => Code::Version,
            4 => Code::Cuda,
            5 => Code::Create,
            6 => Code::Parse,
            7 => Code::Build,
            8 => Code::Load,
            9 => Code::Bind,
            10 => Code::Enqueue,
            11 => Code::Unsupported,
            _ => Code::Exception,
        };
        let text = CStr::from_bytes_until_nul(&error.text).unwrap_or_default().to_string_lossy();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message = text.into_owned();
        if !lines.is_empty() {
            let last: Vec<String> = lines.drain(..).collect();
            message = format!("{message} [{}]", last.join(" | "));
        }
        Err(Failure { code, cuda: error.cuda, message })
    }
}

pub(super) fn failure(code: Code, message: impl Into<String>) -> Failure {
    Failure { code, cuda: 0, message: message.into() }
}

fn c_path(path: &Path) -> Result<CString, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| failure(Code::Argument, "a path with a NUL"))
}

/// TensorRT's logger; called from any of its threads, even while an error of ours is made.
extern "C" fn log(user: *mut c_void, severity: i32, text: *const c_char) {
    // A panic must not cross into C++; a lost line is the smaller evil.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the shim gives back what `open` gave it, the address of a `Lines` that outlives the handle, and a
        // string that ends with NUL.
        let (lines, text) = unsafe { (&*user.cast::<Lines>(), CStr::from_ptr(text)) };
        let text = text.to_string_lossy();
        let level = match severity {
            0 | 1 => log::Level::Error,
            2 => log::Level::Warn,
            3 => log::Level::Debug,
            _ => log::Level::Trace,
        };
        log::log!(target: "till::tensorrt", level, "{text}");
        if severity <= 2 {
            let mut lines = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
            while lines.len() >= LOG_LINES {
                lines.pop_front();
            }
            lines.push_back(text.chars().take(300).collect());
        }
    }));
}
