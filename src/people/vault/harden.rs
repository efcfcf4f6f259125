//! Keeps what is in memory there: no core dump, and no other process of the same user may attach and read.
//!
//! Memory is not locked against swapping. Locking pages is an unsafe call for single buffers, and for the whole process
//! it would pin frames and networks, too, of which the appliance has not enough; keys and vectors are copied on stacks
//! and in engines besides, where a lock on one buffer says nothing. Instead swap must not reach a disk in the clear:
//! none, zram, or encrypted (`docs/privacy.md`).

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Called before the first key or vector is in memory.
///
/// # Errors
/// What the kernel said.
pub fn harden() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
