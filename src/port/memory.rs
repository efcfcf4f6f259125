//! A wire in memory for tests and the simulator: two ends, bytes in order, and a hand on the line.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::port::Wire;

type Line = Arc<Mutex<VecDeque<u8>>>;

/// One end of a wire in memory.
#[derive(Clone, Debug)]
pub struct MemoryWire {
    incoming: Line,
    outgoing: Line,
}

/// A wire and its two ends.
pub fn pair() -> (MemoryWire, MemoryWire) {
    let (a, b) = (Line::default(), Line::default());
    (MemoryWire { incoming: a.clone(), outgoing: b.clone() }, MemoryWire { incoming: b, outgoing: a })
}

impl MemoryWire {
    /// Does anything to the bytes that are under way to this end.
    pub fn tamper(&self, change: impl FnOnce(&mut VecDeque<u8>)) {
        change(&mut self.incoming.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wire for MemoryWire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut line = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let n = line.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(line.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }
}
