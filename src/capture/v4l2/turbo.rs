//! JPEG into planes by libjpeg-turbo's own library, loaded at run time where it lies: no RGB between, no
//! header to build with, and one binary for the TurboJPEG API from 1.4 (2015) on. The unsafe code here
//! calls five of its functions; their signatures are those of `turbojpeg.h`, whose soname has not changed
//! since. The library allocates for itself in each call and frees it again; we do not.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::negotiate::SIDE_MAX;
use crate::capture::{Frame, Matrix, PixelFormat, Plane};

const LIBRARY: &str = "libturbojpeg.so.0";

type Handle = *mut c_void;
type Init = unsafe extern "C" fn() -> Handle;
type Destroy = unsafe extern "C" fn(Handle) -> c_int;
type Header =
    unsafe extern "C" fn(Handle, *const c_uchar, c_ulong, *mut c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int;
type ToPlanes =
    unsafe extern "C" fn(Handle, *const c_uchar, c_ulong, *mut *mut c_uchar, c_int, *mut c_int, c_int, c_int) -> c_int;
type ErrorText = unsafe extern "C" fn() -> *mut c_char;

/// Ways of sampling that fit a [`PixelFormat`] or are made to: TJSAMP_444, 422, 420 and grey.
const SAMPLING_444: c_int = 0;
const SAMPLING_422: c_int = 1;
const SAMPLING_420: c_int = 2;
const SAMPLING_GREY: c_int = 3;
/// TJCS_YCbCr and TJCS_GRAY; a JPEG in RGB or CMYK is no camera's.
const COLOURS: [c_int; 2] = [1, 2];

struct Api {
    init: Init,
    destroy: Destroy,
    header: Header,
    to_planes: ToPlanes,
    error: ErrorText,
    // Keeps the functions mapped.
    _library: Library,
}

fn api() -> Option<&'static Api> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    let load = || {
        // SAFETY: libjpeg-turbo has no initialiser that could harm; each type is its function's of turbojpeg.h.
        unsafe {
            let library = Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL).ok()?;
            Some(Api {
                init: *library.get(b"tjInitDecompress\0").ok()?,
                destroy: *library.get(b"tjDestroy\0").ok()?,
                header: *library.get(b"tjDecompressHeader3\0").ok()?,
                to_planes: *library.get(b"tjDecompressToYUVPlanes\0").ok()?,
                error: *library.get(b"tjGetErrorStr\0").ok()?,
                _library: library,
            })
        }
    };
    API.get_or_init(load).as_ref()
}

/// Whether JPEGs can be decoded on this machine.
pub fn is_there() -> bool {
    api().is_some()
}

/// A decoder; one thread uses it at a time.
pub struct Decoder {
    api: &'static Api,
    handle: Handle,
}

// SAFETY: a TurboJPEG handle belongs to no thread; it may only not be used by two at once, and this is not `Sync`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder, if the library is there.
    pub fn new() -> Option<Self> {
        let api = api()?;
        // SAFETY: takes nothing, gives a handle or null.
        let handle = unsafe { (api.init)() };
        (!handle.is_null()).then_some(Self { api, handle })
    }

    /// Decodes `jpeg` of `size` pixels into the planes of `frame`: the one copy of a picture on its way to the
    /// slot. 4:2:2 becomes 4:2:0 by leaving out every second row of colour. A picture that was only guessed at
    /// in parts is an error, in the library's words; `frame` then holds what there was.
    pub fn decode(&mut self, jpeg: &[u8], size: (u32, u32), frame: &mut Frame) -> Result<(), String> {
        let length = jpeg.len() as c_ulong;
        let (mut width, mut height, mut sampling, mut colours) = (0, 0, 0, 0);
        // SAFETY: the handle lives, the bytes are as long as said, the others are four integers of ours.
        let seen = unsafe {
            (self.api.header)(self.handle, jpeg.as_ptr(), length, &mut width, &mut height, &mut sampling, &mut colours)
        };
        if seen != 0 {
            return Err(self.error());
        }
        let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else { return Err("no size".into()) };
        if (w, h) != size || w > SIDE_MAX || h > SIDE_MAX || !COLOURS.contains(&colours) {
            return Err(format!("it is {w}x{h} pixels of another kind than its markers say"));
        }
        let mut strides = lay_out(frame, (w as usize, h as usize), sampling)?;
        let base = frame.data.as_mut_ptr();
        // SAFETY: `lay_out` made each offset at most the length of the bytes.
        let mut planes = frame.planes.map(|plane| unsafe { base.add(plane.offset) });
        // SAFETY: as above; the header was read from the same bytes, so width, height and sampling of the planes
        // are those that the library decodes, and `lay_out` made room for the padded planes that it writes.
        let done = unsafe {
            (self.api.to_planes)(
                self.handle,
                jpeg.as_ptr(),
                length,
                planes.as_mut_ptr(),
                width,
                strides.as_mut_ptr(),
                height,
                0,
            )
        };
        if done != 0 {
            let error = self.error();
            // Said of bytes between the last row and the end, which some cameras leave there in every picture.
            if !(error.contains("extraneous bytes before marker 0xd9")) {
                return Err(error);
            }
        }
        finish(frame, sampling);
        Ok(())
    }

    fn error(&self) -> String {
        // SAFETY: gives a text that ends with a zero and lasts until the next call of this thread.
        unsafe { CStr::from_ptr((self.api.error)()) }.to_string_lossy().into_owned()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `init`, destroyed once.
        unsafe { (self.api.destroy)(self.handle) };
    }
}

/// Makes room for the planes as the library pads them (tjPlaneWidth, tjPlaneHeight) and gives their strides.
fn lay_out(frame: &mut Frame, (w, h): (usize, usize), sampling: c_int) -> Result<[c_int; 3], String> {
    let (luma, chroma) = match sampling {
        SAMPLING_420 => ((w.next_multiple_of(2), h.next_multiple_of(2)), (w.div_ceil(2), h.div_ceil(2))),
        SAMPLING_422 => ((w.next_multiple_of(2), h), (w.div_ceil(2), h)),
        SAMPLING_444 => ((w, h), (w, h)),
        SAMPLING_GREY => ((w, h), (0, 0)),
        other => return Err(format!("its colours are sampled in a way that is not read here ({other})")),
    };
    (frame.width, frame.height) = (w as u32, h as u32);
    let (first, second) = (luma.0 * luma.1, chroma.0 * chroma.1);
    frame.planes = [
        Plane { offset: 0, stride: luma.0 },
        Plane { offset: first, stride: chroma.0 },
        Plane { offset: first + second, stride: chroma.0 },
    ];
    // No more than once: the capacity stays, and what is left of an older picture is written over.
    frame.data.resize(first + 2 * second, 0);
    // SIDE_MAX bounds them.
    Ok(frame.planes.map(|plane| plane.stride as c_int))
}

/// Calls what was decoded by a name of ours.
fn finish(frame: &mut Frame, sampling: c_int) {
    frame.matrix = Matrix::Bt601Full;
    frame.format = PixelFormat::I420;
    match sampling {
        SAMPLING_GREY => {
            frame.format = PixelFormat::Grey;
            frame.planes = [frame.planes[0], Plane::default(), Plane::default()];
        }
        SAMPLING_422 => double_rows(frame),
        SAMPLING_444 => {
            // Every second column, in place: rare in cameras, so the second pass over the colours is no matter.
            for plane in frame.planes.into_iter().skip(1) {
                let rows = frame.data.get_mut(plane.offset..).unwrap_or_default().chunks_mut(plane.stride.max(1));
                for row in rows.take(frame.height as usize) {
                    for x in 0..row.len().div_ceil(2) {
                        if let Some(&value) = row.get(2 * x) {
                            row[x] = value;
                        }
                    }
                }
            }
            double_rows(frame);
        }
        _ => {}
    }
}

/// Leaves out every second row of colour by stepping over it.
fn double_rows(frame: &mut Frame) {
    for plane in frame.planes.iter_mut().skip(1) {
        plane.stride *= 2;
    }
}

#[cfg(test)]
#[path = "turbo_tests.rs"]
mod tests;
