//! ONNX bytes to a plan. Takes minutes on a board and most of its memory: `till engine build` does it in a child
//! process.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::ffi;
use super::library::{Failure, Library};

/// A serialized engine, for one version of TensorRT and one kind of GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Vec<u8>);

/// How INT8 ranges are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calibration {
    /// `IInt8EntropyCalibrator2`.
    #[default]
    Entropy,
    /// `IInt8MinMaxCalibrator`.
    MinMax,
}

/// Where calibration gets its pictures, and keeps what it found.
pub trait Calibrator {
    /// Fills one input (batch 1); false at the end.
    fn next(&mut self, input: &mut [f32]) -> bool;
    /// What an earlier run found; empty without it.
    fn cache(&self) -> &[u8];
    /// What this run found.
    fn keep(&mut self, cache: &[u8]);
}

/// Phase, step, steps; false ends the build.
pub type Progress<'a> = &'a mut dyn FnMut(&str, i32, i32) -> bool;

/// What a build is to be like. Without FP16 and INT8 the plan is FP32, or what a strongly typed model says.
pub struct Builder<'a> {
    library: Arc<Library>,
    options: ffi::BuildOptions,
    timing: Vec<u8>,
    calibrator: Option<(Calibration, usize, &'a mut dyn Calibrator)>,
    progress: Option<Progress<'a>>,
}

impl<'a> Builder<'a> {
    /// A builder with a workspace of `workspace_bytes`.
    pub fn new(library: &Arc<Library>, workspace_bytes: u64) -> Self {
        let options = ffi::BuildOptions { workspace_bytes, ..ffi::BuildOptions::default() };
        Self { library: Arc::clone(library), options, timing: Vec::new(), calibrator: None, progress: None }
    }

    /// Allows FP16.
    #[must_use]
    pub fn fp16(mut self, on: bool) -> Self {
        self.options.fp16 = on.into();
        self
    }

    /// Allows INT8, with ranges from `calibrator` over inputs of `elements`, or from the model's Q/DQ nodes.
    #[must_use]
    pub fn int8(mut self, calibrator: Option<(Calibration, usize, &'a mut dyn Calibrator)>) -> Self {
        self.options.int8 = 1;
        self.calibrator = calibrator;
        self
    }

    /// Builds for a DLA core, with the GPU for what it lacks.
    #[must_use]
    pub fn dla(mut self, core: i32) -> Self {
        self.options.dla_core = core;
        self
    }

    /// Timings of an earlier build.
    #[must_use]
    pub fn timing_cache(mut self, bytes: Vec<u8>) -> Self {
        self.timing = bytes;
        self
    }

    /// Is told of each step where the version reports them (8.6 on).
    #[must_use]
    pub fn progress(mut self, progress: Progress<'a>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The plan and the timings, the latter empty where there are none.
    pub fn build(mut self, onnx: &[u8]) -> Result<(Plan, Vec<u8>), Failure> {
        let mut options = std::mem::take(&mut self.options);
        options.timing_cache = self.timing.as_ptr().cast();
        options.timing_cache_length = self.timing.len();
        let mut calibrator = ffi::Calibrator::default();
        if let Some((kind, elements, source)) = &mut self.calibrator {
            calibrator.kind = i32::from(*kind == Calibration::MinMax);
            calibrator.elements = *elements;
            calibrator.next = Some(next);
            calibrator.cache_read = Some(cache_read);
            calibrator.cache_write = Some(cache_write);
            calibrator.user = std::ptr::from_mut(source).cast();
            options.calibrator = &raw const calibrator;
        }
        if let Some(progress) = &mut self.progress {
            options.progress = Some(report);
            options.user = std::ptr::from_mut(progress).cast();
        }
        let (mut plan, mut timing) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut error = ffi::Error::default();
        // SAFETY: model, caches, calibrator and callbacks' data outlive the call; the callbacks are called in it only.
        let code = unsafe {
            ffi::till_trt_build(
                self.library.raw(),
                onnx.as_ptr().cast(),
                onnx.len(),
                &raw const options,
                &raw mut plan,
                &raw mut timing,
                &raw mut error,
            )
        };
        let (plan, timing) = (take(plan), take(timing));
        self.library.check(code, &error)?;
        Ok((Plan(plan), timing))
    }
}

/// Copies a blob and frees it; null is empty.
fn take(blob: *mut ffi::Blob) -> Vec<u8> {
    if blob.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, made by the shim, its data valid for its length until it is freed here, once.
    unsafe {
        let bytes =
            std::slice::from_raw_parts(ffi::till_trt_blob_data(blob).cast::<u8>(), ffi::till_trt_blob_length(blob));
        let bytes = bytes.to_vec();
        ffi::till_trt_blob_free(blob);
        bytes
    }
}

type Source<'a> = &'a mut dyn Calibrator;

extern "C" fn next(user: *mut c_void, values: *mut f32, elements: usize) -> i32 {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `build` gave the address of its calibrator, alive and not used elsewhere until the build ends; the
        // shim gives `elements` floats of its own.
        let (source, input) =
            unsafe { (&mut *user.cast::<Source<'_>>(), std::slice::from_raw_parts_mut(values, elements)) };
        i32::from(source.next(input))
    }))
    .unwrap_or(0)
}

extern "C" fn cache_read(user: *mut c_void, length: *mut usize) -> *const c_void {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as in `next`; `length` is the shim's.
        let (source, length) = unsafe { (&*user.cast::<Source<'_>>(), &mut *length) };
        let cache = source.cache();
        *length = cache.len();
        if cache.is_empty() { std::ptr::null() } else { cache.as_ptr().cast() }
    }))
    .unwrap_or(std::ptr::null())
}

extern "C" fn cache_write(user: *mut c_void, data: *const c_void, length: usize) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as in `next`; the data is TensorRT's for the length of the call.
        let (source, cache) =
            unsafe { (&mut *user.cast::<Source<'_>>(), std::slice::from_raw_parts(data.cast::<u8>(), length)) };
        source.keep(cache);
    }));
}

extern "C" fn report(user: *mut c_void, phase: *const c_char, step: i32, steps: i32) -> i32 {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `build` gave the address of its closure, alive until the build ends; TensorRT reports from the
        // thread that builds; the phase ends with NUL.
        let (progress, phase) = unsafe { (&mut *user.cast::<Progress<'_>>(), CStr::from_ptr(phase)) };
        i32::from(progress(&phase.to_string_lossy(), step, steps))
    }))
    // A report that panics ends the build.
    .unwrap_or(0)
}
