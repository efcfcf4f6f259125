//! A plan to results: engine, context, stream and buffers with their lifetimes. No inference is in flight outside of
//! [`Context::infer`], so that a buffer's host side is never read or written while the GPU has it.

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::builder::Plan;
use super::ffi;
use super::library::{Code, Device, Failure, Library, failure};

/// `nvinfer1::DataType::kFLOAT`.
const FLOAT: i32 = 0;

/// A tensor of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in the model.
    pub name: String,
    /// Input or output.
    pub is_input: bool,
    /// True for f32.
    pub is_float: bool,
    /// Dimensions; -1 where dynamic.
    pub dims: Vec<i64>,
}

impl Tensor {
    /// The shape, when it is static.
    pub fn shape(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(|&d| usize::try_from(d).ok()).collect()
    }
}

/// A deserialized plan.
pub struct Engine {
    raw: NonNull<ffi::Engine>,
    library: Arc<Library>,
}

// SAFETY: an ICudaEngine may be used from any thread; the functions called on it here only read (developer guide,
// "Threading").
unsafe impl Send for Engine {}

impl Engine {
    /// Loads a plan, onto a DLA core where it was built for one.
    pub fn load(library: &Arc<Library>, plan: &Plan, dla: Option<u8>) -> Result<Self, Failure> {
        let (mut raw, mut error) = (std::ptr::null_mut(), ffi::Error::default());
        // SAFETY: the plan outlives the call, which copies what it needs.
        let code = unsafe {
            ffi::till_trt_engine_load(
                library.raw(),
                plan.0.as_ptr().cast(),
                plan.0.len(),
                dla.map_or(-1, i32::from),
                &raw mut raw,
                &raw mut error,
            )
        };
        library.check(code, &error)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure(Code::Load, "load gave no engine"))?;
        Ok(Self { raw, library: Arc::clone(library) })
    }

    /// Its tensors in its order.
    pub fn tensors(&self) -> Result<Vec<Tensor>, Failure> {
        let (mut count, mut error) = (0, ffi::Error::default());
        // SAFETY: all pointers are valid for the call.
        let code = unsafe { ffi::till_trt_engine_count(self.raw.as_ptr(), &raw mut count, &raw mut error) };
        self.library.check(code, &error)?;
        (0..count).map(|index| self.tensor(index)).collect()
    }

    fn tensor(&self, index: i32) -> Result<Tensor, Failure> {
        let (mut tensor, mut error) = (ffi::Tensor::default(), ffi::Error::default());
        // SAFETY: all pointers are valid for the call.
        let code = unsafe { ffi::till_trt_engine_tensor(self.raw.as_ptr(), index, &raw mut tensor, &raw mut error) };
        self.library.check(code, &error)?;
        let rank = usize::try_from(tensor.rank).unwrap_or(0).min(ffi::DIMS_MAX);
        Ok(Tensor {
            name: CStr::from_bytes_until_nul(&tensor.name).unwrap_or_default().to_string_lossy().into_owned(),
            is_input: tensor.is_input != 0,
            is_float: tensor.data_type == FLOAT,
            dims: tensor.dims[..rank].to_vec(),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: made by till_trt_engine_load, freed once; contexts own their engine and go first.
        unsafe { ffi::till_trt_engine_free(self.raw.as_ptr()) }
    }
}

/// A stream of CUDA.
pub struct Stream {
    raw: *mut c_void,
    library: Arc<Library>,
}

// SAFETY: a stream belongs to the device, not to a thread.
unsafe impl Send for Stream {}

impl Stream {
    /// A new stream.
    pub fn new(library: &Arc<Library>) -> Result<Self, Failure> {
        let (mut raw, mut error) = (std::ptr::null_mut(), ffi::Error::default());
        // SAFETY: all pointers are valid for the call.
        let code = unsafe { ffi::till_trt_stream_new(library.raw(), &raw mut raw, &raw mut error) };
        library.check(code, &error)?;
        Ok(Self { raw, library: Arc::clone(library) })
    }

    fn wait(&self) -> Result<(), Failure> {
        let mut error = ffi::Error::default();
        // SAFETY: the stream lives; the error is ours.
        let code = unsafe { ffi::till_trt_stream_wait(self.library.raw(), self.raw, &raw mut error) };
        self.library.check(code, &error)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made by till_trt_stream_new, freed once, nothing in flight on it.
        unsafe { ffi::till_trt_stream_free(self.library.raw(), self.raw) }
    }
}

/// How values get to the GPU and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// A GPU of its own: pinned host memory, copied on the stream.
    Copy,
    /// One memory for both, cached for the CPU (Xavier, Orin): nothing is copied.
    Mapped,
    /// One memory for both, not cached for the CPU (Nano, TX2): the input is written in order, outputs are read once
    /// into cached memory.
    MappedUncached,
}

impl Transfer {
    /// By what the GPU can do. Pinned memory is I/O coherent, thus cached, from compute capability 7.2 on (CUDA for
    /// Tegra, "Memory management").
    pub fn of(device: &Device) -> Self {
        match (device.integrated && device.can_map, device.capability >= (7, 2)) {
            (false, _) => Self::Copy,
            (true, true) => Self::Mapped,
            (true, false) => Self::MappedUncached,
        }
    }

    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copied on the stream",
            Self::Mapped => "mapped, no copy",
            Self::MappedUncached => "mapped, outputs read once",
        }
    }
}

/// Memory of CUDA's, of one kind.
struct Memory {
    kind: i32,
    host: *mut c_void,
    device: *mut c_void,
    library: Arc<Library>,
}

impl Memory {
    fn new(library: &Arc<Library>, kind: i32, bytes: usize) -> Result<Self, Failure> {
        let (mut host, mut device, mut error) = (std::ptr::null_mut(), std::ptr::null_mut(), ffi::Error::default());
        // SAFETY: all pointers are valid for the call.
        let code =
            unsafe { ffi::till_trt_alloc(library.raw(), kind, bytes, &raw mut host, &raw mut device, &raw mut error) };
        library.check(code, &error)?;
        Ok(Self { kind, host, device, library: Arc::clone(library) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by till_trt_alloc, freed once, nothing in flight on it.
        unsafe { ffi::till_trt_free(self.library.raw(), self.kind, self.host, self.device) }
    }
}

/// One tensor's memory on both sides.
struct Buffer {
    bytes: usize,
    is_input: bool,
    /// Pinned or mapped: what the CPU sees.
    near: Memory,
    /// Device memory where the near side isn't mapped.
    far: Option<Memory>,
    /// Cached copy of an output that the CPU would read slowly.
    copy: Option<Vec<f32>>,
}

impl Buffer {
    fn new(library: &Arc<Library>, elements: usize, is_input: bool, transfer: Transfer) -> Result<Self, Failure> {
        let bytes = elements
            .checked_mul(size_of::<f32>())
            .filter(|b| *b > 0 && isize::try_from(*b).is_ok())
            .ok_or_else(|| failure(Code::Argument, format!("a tensor of {elements} elements")))?;
        let (near, far) = match transfer {
            Transfer::Copy => (ffi::PINNED, Some(Memory::new(library, ffi::DEVICE, bytes)?)),
            Transfer::Mapped | Transfer::MappedUncached => (ffi::MAPPED, None),
        };
        let near = Memory::new(library, near, bytes)?;
        let copy = (transfer == Transfer::MappedUncached && !is_input).then(|| vec![0.0; elements]);
        let mut this = Self { bytes, is_input, near, far, copy };
        this.host_mut().fill(0.0);
        Ok(this)
    }

    fn device(&self) -> *mut c_void {
        self.far.as_ref().map_or(self.near.device, |far| far.device)
    }

    fn host(&self) -> &[f32] {
        // SAFETY: CUDA gave `bytes` bytes, page-aligned, filled with zeros by `new`; nothing is in flight while we
        // can be borrowed, because Context::infer borrows mutably and waits.
        unsafe { std::slice::from_raw_parts(self.near.host.cast::<f32>(), self.bytes / size_of::<f32>()) }
    }

    fn host_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `host`, and borrowed mutably; any bytes are an f32.
        unsafe { std::slice::from_raw_parts_mut(self.near.host.cast::<f32>(), self.bytes / size_of::<f32>()) }
    }

    /// Queues the copy to the device or back, where there is one.
    fn transfer(&self, stream: &Stream) -> Result<(), Failure> {
        let Some(far) = &self.far else { return Ok(()) };
        let (to, from) = if self.is_input { (far.device, self.near.host) } else { (self.near.host, far.device) };
        let mut error = ffi::Error::default();
        let library = &self.near.library;
        // SAFETY: both sides have `bytes` bytes and live until the stream was waited for.
        let code = unsafe {
            ffi::till_trt_copy(library.raw(), stream.raw, to, from, self.bytes, self.is_input.into(), &raw mut error)
        };
        library.check(code, &error)
    }
}

/// An engine with all its buffers, ready to infer.
pub struct Context {
    raw: NonNull<ffi::Context>,
    buffers: Vec<Buffer>,
    tensors: Vec<Tensor>,
    stream: Stream,
    // After the context, which it outlives: fields drop in this order, the context in `drop`.
    _engine: Engine,
    library: Arc<Library>,
}

// SAFETY: an execution context may move between threads as long as one uses it at a time (developer guide,
// "Threading"); it isn't Sync. Its buffers' pointers are its own.
unsafe impl Send for Context {}

impl Context {
    /// Allocates and binds a buffer for each tensor, which must be f32 of a static shape.
    pub fn new(engine: Engine, transfer: Transfer) -> Result<Self, Failure> {
        let library = Arc::clone(&engine.library);
        let tensors = engine.tensors()?;
        let (mut raw, mut error) = (std::ptr::null_mut(), ffi::Error::default());
        // SAFETY: all pointers are valid for the call.
        let code = unsafe { ffi::till_trt_context_new(engine.raw.as_ptr(), &raw mut raw, &raw mut error) };
        library.check(code, &error)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure(Code::Create, "no context"))?;
        let stream = match Stream::new(&library) {
            Ok(stream) => stream,
            Err(e) => {
                // SAFETY: made above, not used yet.
                unsafe { ffi::till_trt_context_free(raw.as_ptr()) };
                return Err(e);
            }
        };
        let mut this = Self { raw, buffers: Vec::new(), tensors, stream, _engine: engine, library };
        for i in 0..this.tensors.len() {
            let tensor = &this.tensors[i];
            let shape = tensor.shape().filter(|_| tensor.is_float).ok_or_else(|| {
                failure(Code::Load, format!("{:?} is no f32 tensor of static shape {:?}", tensor.name, tensor.dims))
            })?;
            let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(0);
            let buffer = Buffer::new(&this.library, elements, tensor.is_input, transfer)?;
            this.bind(&this.tensors[i].name, &buffer)?;
            this.buffers.push(buffer);
        }
        Ok(this)
    }

    fn bind(&self, name: &str, buffer: &Buffer) -> Result<(), Failure> {
        let c = CString::new(name).map_err(|_| failure(Code::Bind, "a name with a NUL"))?;
        let mut error = ffi::Error::default();
        // SAFETY: the address has room for the tensor's elements and lives as long as the context, which owns it.
        let code =
            unsafe { ffi::till_trt_context_bind(self.raw.as_ptr(), c.as_ptr(), buffer.device(), &raw mut error) };
        self.library.check(code, &error)
    }

    /// Its tensors, in the order that the other methods count in.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The host side of tensor `index`.
    pub fn host_mut(&mut self, index: usize) -> &mut [f32] {
        self.buffers.get_mut(index).map_or(&mut [], Buffer::host_mut)
    }

    /// What the last inference left in tensor `index`.
    pub fn read(&self, index: usize) -> &[f32] {
        self.buffers.get(index).map_or(&[], |b| b.copy.as_deref().unwrap_or_else(|| b.host()))
    }

    /// One inference: inputs over, enqueue, outputs back, wait. The stream is waited for whatever happens, so that
    /// nothing is in flight afterwards.
    pub fn infer(&mut self) -> Result<(), Failure> {
        let queued = self.queue();
        let waited = self.stream.wait();
        match (queued, waited) {
            // The second may be the consequence, or the one that knows why.
            (Err(first), Err(second)) => return Err(if second.is_sticky() { second } else { first }),
            (queued, waited) => queued.and(waited)?,
        }
        for buffer in &mut self.buffers {
            if let Some(mut copy) = buffer.copy.take() {
                copy.copy_from_slice(buffer.host());
                buffer.copy = Some(copy);
            }
        }
        Ok(())
    }

    fn queue(&self) -> Result<(), Failure> {
        for buffer in self.buffers.iter().filter(|b| b.is_input) {
            buffer.transfer(&self.stream)?;
        }
        let mut error = ffi::Error::default();
        // SAFETY: every tensor was bound in `new` to a buffer that we own.
        let code = unsafe { ffi::till_trt_context_enqueue(self.raw.as_ptr(), self.stream.raw, &raw mut error) };
        self.library.check(code, &error)?;
        for buffer in self.buffers.iter().filter(|b| !b.is_input) {
            buffer.transfer(&self.stream)?;
        }
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by till_trt_context_new, freed once, before the engine and the buffers it is bound to.
        unsafe { ffi::till_trt_context_free(self.raw.as_ptr()) }
    }
}
