//! Half precision (IEEE 754 binary16) of values in -1..=1, without intrinsics: one multiplication undoes the
//! difference of the exponents' biases, subnormal values included.

/// 2^112: binary32's exponent bias less binary16's.
const UNBIAS: f32 = f32::from_bits((127 + 112) << 23);

/// Nearest half; of two as near, the even one. For finite values of at most 1.
pub fn from_f32(v: f32) -> u16 {
    let sign = ((v.to_bits() >> 16) & 0x8000) as u16;
    let scaled = (v.abs().min(1.0) / UNBIAS).to_bits();
    let rounded = scaled + 0xfff + ((scaled >> 13) & 1);
    sign | (rounded >> 13) as u16
}

/// The value of a half that [`from_f32`] made.
#[inline(always)]
pub fn to_f32(h: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(h & 0x7fff) << 13) * UNBIAS;
    f32::from_bits(magnitude.to_bits() | (u32::from(h & 0x8000) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_halves() {
        for (v, h) in
            [(0.0, 0x0000), (1.0, 0x3c00), (-1.0, 0xbc00), (0.5, 0x3800), (0.333_251_95, 0x3555), (5.960_464_5e-8, 1)]
        {
            assert_eq!((from_f32(v), to_f32(h)), (h, v), "{v}");
        }
        assert_eq!(from_f32(1.0 / 3.0), 0x3555);
        // Half way between two: the even one.
        assert_eq!((from_f32(1.0 - 1.0 / 4096.0), from_f32(0.5 + 1.0 / 4096.0)), (0x3c00, 0x3800));
    }

    #[test]
    fn every_half_up_to_1_comes_back() {
        for h in (0..=0x3c00u16).chain(0x8000..=0xbc00) {
            assert_eq!(from_f32(to_f32(h)), h, "{h:04x}");
        }
    }
}
