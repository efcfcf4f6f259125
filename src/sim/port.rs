//! A port of the simulated cable, as the books see it.

use std::io;
use std::sync::Arc;

use crate::port::Wire;
use crate::sim::line::End;
use crate::sim::world::{SharedCable, hold};

/// One end's port.
#[derive(Debug)]
pub struct Port {
    cable: SharedCable,
    end: End,
}

impl Port {
    /// The port at `end`, whether or not it is there now.
    pub fn new(cable: &SharedCable, end: End) -> Self {
        Self { cable: Arc::clone(cable), end }
    }

    /// Whether it could be opened now.
    pub fn is_there(&self) -> bool {
        hold(&self.cable).has_port(self.end)
    }
}

impl Wire for Port {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut cable = hold(&self.cable);
        if cable.has_port(self.end) { Ok(cable.read(self.end, bytes)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut cable = hold(&self.cable);
        if cable.has_port(self.end) { Ok(cable.write(self.end, bytes)) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}
