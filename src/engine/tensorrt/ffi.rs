//! `shim.h` in Rust, word by word. Nothing here is safe; `library`, `builder` and `run` are.

use std::ffi::{c_char, c_void};

pub const DIMS_MAX: usize = 8;
pub const TEXT_MAX: usize = 1024;

pub const OK: i32 = 0;
pub const DEVICE: i32 = 0;
pub const PINNED: i32 = 1;
pub const MAPPED: i32 = 2;

/// A struct of the border that begins with its size, zeroed.
macro_rules! sized {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $value:expr),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name { pub size: u32, $(pub $field: $type),* }

        impl Default for $name {
            fn default() -> Self {
                Self { size: size_of::<Self>() as u32, $($field: $value),* }
            }
        }
    )*};
}

pub type Log = Option<extern "C" fn(*mut c_void, i32, *const c_char)>;
pub type Progress = Option<extern "C" fn(*mut c_void, *const c_char, i32, i32) -> i32>;

sized! {
    /// `till_trt_error`
    Error { code: i32 = 0, cuda: i32 = 0, text: [u8; TEXT_MAX] = [0; TEXT_MAX] }
    /// `till_trt_open_options`
    OpenOptions {
        infer: *const c_char = std::ptr::null(),
        parser: *const c_char = std::ptr::null(),
        cudart: *const c_char = std::ptr::null(),
        log: Log = None,
        user: *mut c_void = std::ptr::null_mut(),
    }
    /// `till_trt_info`
    Info {
        header_major: i32 = 0, header_minor: i32 = 0, library_major: i32 = 0, library_minor: i32 = 0,
        library_patch: i32 = 0, rtx: i32 = 0, weak_typing: i32 = 0, has_parser: i32 = 0, has_cudart: i32 = 0,
    }
    /// `till_trt_device`
    Device {
        cc_major: i32 = 0, cc_minor: i32 = 0, multiprocessors: i32 = 0, integrated: i32 = 0, can_map: i32 = 0,
        driver: i32 = 0, runtime: i32 = 0, memory_bytes: u64 = 0,
    }
    /// `till_trt_platform_info`
    Platform { fp16: i32 = 0, int8: i32 = 0, dla_cores: i32 = 0 }
    /// `till_trt_calibrator`
    Calibrator {
        kind: i32 = 0,
        batch: i32 = 1,
        elements: usize = 0,
        next: Option<extern "C" fn(*mut c_void, *mut f32, usize) -> i32> = None,
        cache_read: Option<extern "C" fn(*mut c_void, *mut usize) -> *const c_void> = None,
        cache_write: Option<extern "C" fn(*mut c_void, *const c_void, usize)> = None,
        user: *mut c_void = std::ptr::null_mut(),
    }
    /// `till_trt_build_options`
    BuildOptions {
        fp16: i32 = 0,
        int8: i32 = 0,
        dla_core: i32 = -1,
        workspace_bytes: u64 = 0,
        timing_cache: *const c_void = std::ptr::null(),
        timing_cache_length: usize = 0,
        calibrator: *const Calibrator = std::ptr::null(),
        progress: Progress = None,
        user: *mut c_void = std::ptr::null_mut(),
    }
    /// `till_trt_tensor`
    Tensor {
        is_input: i32 = 0, data_type: i32 = 0, rank: i32 = 0, dims: [i64; DIMS_MAX] = [0; DIMS_MAX],
        name: [u8; 256] = [0; 256],
    }
}

/// A handle of the shim's, never looked into.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name { _private: [u8; 0] }
    )*};
}
opaque!(Lib, Blob, Engine, Context);

unsafe extern "C" {
    pub fn till_trt_header(info: *mut Info, error: *mut Error) -> i32;
    pub fn till_trt_open(options: *const OpenOptions, lib: *mut *mut Lib, error: *mut Error) -> i32;
    pub fn till_trt_close(lib: *mut Lib);
    pub fn till_trt_library(lib: *mut Lib, info: *mut Info, error: *mut Error) -> i32;
    pub fn till_trt_probe(lib: *mut Lib, device: *mut Device, error: *mut Error) -> i32;
    pub fn till_trt_platform(lib: *mut Lib, info: *mut Platform, error: *mut Error) -> i32;
    pub fn till_trt_build(
        lib: *mut Lib,
        onnx: *const c_void,
        length: usize,
        options: *const BuildOptions,
        plan: *mut *mut Blob,
        timing_cache: *mut *mut Blob,
        error: *mut Error,
    ) -> i32;
    pub fn till_trt_blob_data(blob: *const Blob) -> *const c_void;
    pub fn till_trt_blob_length(blob: *const Blob) -> usize;
    pub fn till_trt_blob_free(blob: *mut Blob);
    pub fn till_trt_engine_load(
        lib: *mut Lib,
        plan: *const c_void,
        length: usize,
        dla_core: i32,
        engine: *mut *mut Engine,
        error: *mut Error,
    ) -> i32;
    pub fn till_trt_engine_free(engine: *mut Engine);
    pub fn till_trt_engine_count(engine: *mut Engine, count: *mut i32, error: *mut Error) -> i32;
    pub fn till_trt_engine_tensor(engine: *mut Engine, index: i32, tensor: *mut Tensor, error: *mut Error) -> i32;
    pub fn till_trt_context_new(engine: *mut Engine, context: *mut *mut Context, error: *mut Error) -> i32;
    pub fn till_trt_context_free(context: *mut Context);
    pub fn till_trt_context_bind(
        context: *mut Context,
        name: *const c_char,
        device: *mut c_void,
        error: *mut Error,
    ) -> i32;
    pub fn till_trt_context_enqueue(context: *mut Context, stream: *mut c_void, error: *mut Error) -> i32;
    pub fn till_trt_stream_new(lib: *mut Lib, stream: *mut *mut c_void, error: *mut Error) -> i32;
    pub fn till_trt_stream_free(lib: *mut Lib, stream: *mut c_void);
    pub fn till_trt_stream_wait(lib: *mut Lib, stream: *mut c_void, error: *mut Error) -> i32;
    pub fn till_trt_alloc(
        lib: *mut Lib,
        kind: i32,
        bytes: usize,
        host: *mut *mut c_void,
        device: *mut *mut c_void,
        error: *mut Error,
    ) -> i32;
    pub fn till_trt_free(lib: *mut Lib, kind: i32, host: *mut c_void, device: *mut c_void);
    pub fn till_trt_copy(
        lib: *mut Lib,
        stream: *mut c_void,
        to: *mut c_void,
        from: *const c_void,
        bytes: usize,
        to_device: i32,
        error: *mut Error,
    ) -> i32;
    pub fn till_trt_reset(lib: *mut Lib, error: *mut Error) -> i32;
}
