//! What the kernel and udev say of the box: files below a root, which is `/` or the recorded tree of another box. Its
//! sensors, its devices, and who of them plays which role, and how much it may
//! do in its heat. Never opens a device. Read next: `tree`,
//! `devices`, `roles`, `ladder`.

pub mod devices;
pub mod ladder;
pub mod roles;
pub mod sensors;
mod tree;

pub use tree::Tree;
