//! V4L2: USB and other cameras of the kernel without a pipeline between. A node is opened by its role's or
//! udev's name, anew each time; format and rate are chosen from what it really offers (`negotiate`), its
//! controls are set and read back (`controls`), and its buffers go to the slot with one copy, which for
//! MJPEG is the decoding itself (`mjpeg`). Everything is done through the trait [`Device`], so that
//! tests play cameras that lie; `sys` is the kernel's side of it. Needs no ioctl younger than Linux 4.9.

#[forbid(unsafe_code)]
mod controls;
#[forbid(unsafe_code)]
pub mod device;
#[forbid(unsafe_code)]
pub mod inventory;
#[forbid(unsafe_code)]
mod jpeg;
#[forbid(unsafe_code)]
pub mod mjpeg;
#[forbid(unsafe_code)]
mod negotiate;
#[forbid(unsafe_code)]
mod stream;
#[allow(unsafe_code)]
mod sys;
#[allow(unsafe_code)]
mod turbo;

pub use controls::Controls;
pub use device::{Device, Nodes};
pub use stream::{V4l2Opener, Want};
pub use sys::Kernel;
