//! Constants as the rules want them.

use crate::engine::preflight::graph::Graph;
use crate::engine::preflight::onnx::{Tensor, data_type};

/// Values of a FLOAT or FLOAT16 tensor.
pub fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    if tensor.data_type != data_type::FLOAT16 {
        return tensor.floats();
    }
    let half = |bits: u16| {
        let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, f32::from(bits & 1023) / 1024.0);
        let value = match exponent {
            0 => fraction * 2f32.powi(-14),
            31 => f32::NAN,
            e => (1.0 + fraction) * 2f32.powi(i32::from(e) - 15),
        };
        if sign == 1 { -value } else { value }
    };
    match &tensor.raw {
        Some(raw) => Some(raw.as_chunks::<2>().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect()),
        None => Some(tensor.int32_data.iter().map(|&v| half((v & 0xffff) as u16)).collect()),
    }
}

/// A possibly negative axis.
pub fn axis(axis: i64, rank: usize) -> Option<usize> {
    let at = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(at).ok().filter(|&a| a < rank)
}

/// A constant, or one behind QuantizeLinear and DequantizeLinear.
pub fn is_weight(g: &Graph<'_>, name: &str) -> bool {
    let mut name = name;
    for _ in 0..4 {
        if g.constant(name).is_some() {
            return true;
        }
        match g.producer(name) {
            Some(n) if matches!(n.op.as_str(), "QuantizeLinear" | "DequantizeLinear") => {
                let Some(input) = n.input(0) else { return false };
                name = input;
            }
            _ => return false,
        }
    }
    false
}
