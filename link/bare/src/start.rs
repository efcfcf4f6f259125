//! Where the kernel jumps to, and how to leave again: the only thing here that knows a processor. On a
//! microcontroller this is the reset handler.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::panic::PanicInfo;

extern "C" fn status() -> i32 {
    i32::from(crate::run())
}

/// The first instruction: a stack as the calling convention wants it, then `status`, then exit_group(2).
// SAFETY: nothing calls this but the kernel, which expects no return; only the stack pointer is touched
// before the call, and it is a valid one.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _start() -> ! {
    naked_asm!("and rsp, -16", "call {status}", "mov edi, eax", "mov eax, 231", "syscall", "ud2", status = sym status)
}

/// The same for the Nano's processor.
// SAFETY: as above.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _start() -> ! {
    naked_asm!("bl {status}", "mov x8, #94", "svc #0", "brk #1", status = sym status)
}

/// A program that has nothing can only stop.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
