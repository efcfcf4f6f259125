//! Arbitrary bytes as a sequence of small choices. What is missing at the end reads as nothing, so that an
//! input cut short is an input too.

/// What of the input was not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// At most `n` bytes.
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// Two bytes, little-endian.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Small numbers mostly, and now and then the ends of the range.
    pub fn word(&mut self) -> u32 {
        match self.byte() {
            small @ 0..0xf0 => u32::from(small),
            high @ 0xf0..0xf8 => u32::MAX - u32::from(high & 7),
            _ => u32::from(self.short()) | u32::from(self.short()) << 16,
        }
    }
}
