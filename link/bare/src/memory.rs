//! The four functions that the compiler calls for copies, fills and comparisons, and that a C library
//! would bring. A target without an operating system gets them from Rust's own `compiler_builtins`.
#![allow(unsafe_code)]

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller promises `n` bytes at both places; volatile, so that the loop is not made into a
    // call of this very function.
    (0..n).for_each(|i| unsafe { to.add(i).write_volatile(from.add(i).read()) });
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    let copy = |i: usize| {
        // SAFETY: the caller promises `n` bytes at both places.
        unsafe { to.add(i).write_volatile(from.add(i).read()) }
    };
    // What is overwritten was read before.
    if to.cast_const() <= from { (0..n).for_each(copy) } else { (0..n).rev().for_each(copy) }
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller promises `n` bytes there.
    (0..n).for_each(|i| unsafe { to.add(i).write_volatile(byte as u8) });
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: the caller promises `n` bytes at both places; volatile as above.
        let (a, b) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, n) }
}
