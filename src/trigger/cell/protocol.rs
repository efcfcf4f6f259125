//! What scales say over a serial line without being asked, as their makers' public manuals have it.

use super::Weighed;
use crate::config::ScaleProtocol;
use crate::trigger::{TriggerError, TriggerErrorKind};

/// Longest line of either.
pub const LINE_BYTES_MAX: usize = 32;
const STX: u8 = 2;

impl ScaleProtocol {
    /// Reads one line without its end. `place` is the port, for the error.
    ///
    /// # Errors
    /// `Format` for anything that is no line of this protocol, `Overload` for a scale that says so.
    pub fn read(self, line: &[u8], place: &str) -> Result<Weighed, TriggerError> {
        let read = match self {
            Self::Toledo => toledo(line),
            Self::And => and(line),
        };
        read.map_err(|fault| match fault {
            Fault::Format(what) => TriggerError::new(
                TriggerErrorKind::Format,
                place,
                format!("{what} in {:?}; is the scale set to this protocol, and the port to its speed?", shown(line)),
            ),
            Fault::Overload => {
                TriggerError::new(TriggerErrorKind::Overload, place, "the scale is overloaded, or below its zero")
            }
        })
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned()
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Format(&'static str),
    Overload,
}

/// `digits` at ten to the power of `exponent` of grams, rounded half away from zero.
fn grams(digits: i64, exponent: i32) -> Result<i32, Fault> {
    let far = Fault::Format("a weight beyond two tonnes");
    let power = 10_i64.checked_pow(exponent.unsigned_abs()).ok_or(Fault::Format("too many decimals"))?;
    let scaled = if exponent >= 0 {
        digits.checked_mul(power)
    } else {
        digits.checked_add(digits.signum() * (power / 2)).map(|n| n / power)
    };
    scaled.and_then(|n| i32::try_from(n).ok()).ok_or(far)
}

/// STX, three status bytes, six digits of weight, maybe six of tare, CR, and maybe a checksum. Status A: bits 0 to 2 are the decimal point. Status B: bit 1 negative, bit 2 out of range, bit 3 in motion, bit 4
/// kilograms and not pounds, bit 6 not zeroed since power on. Status C: bits 0 to 2 are 1 for grams. Parity in bit 7
/// is not looked at. (Mettler Toledo, "Continuous Mode Output", tables of status bytes A, B and C.)
fn toledo(line: &[u8]) -> Result<Weighed, Fault> {
    let start = line.iter().rposition(|&byte| byte & 0x7f == STX).ok_or(Fault::Format("no start of text"))?;
    let fields = line.get(start + 1..).unwrap_or_default();
    let (Some(&[a, b, c]), Some(digits)) = (fields.first_chunk::<3>(), fields.get(3..9)) else {
        return Err(Fault::Format("too few characters"));
    };
    // With or without the tare.
    if fields.len() != 9 && fields.len() != 15 {
        return Err(Fault::Format("another length than 10 or 16"));
    }
    let mut weight = 0_i64;
    for &digit in digits {
        // Leading zeros may be sent as spaces.
        let value = match digit & 0x7f {
            b' ' => 0,
            digit @ b'0'..=b'9' => i64::from(digit - b'0'),
            _ => return Err(Fault::Format("no digit where the weight stands")),
        };
        weight = weight * 10 + value;
    }
    if b & 0x04 != 0 || b & 0x40 != 0 {
        return Err(Fault::Overload);
    }
    if b & 0x02 != 0 {
        weight = -weight;
    }
    let unit = match (c & 0x07, b & 0x10 != 0) {
        (0, true) => 3,
        (1, _) => 0,
        _ => return Err(Fault::Format("neither kilograms nor grams")),
    };
    let point = 2 - i32::from(a & 0x07);
    Ok(Weighed { grams: grams(weight, point + unit)?, counts: None, stable: Some(b & 0x08 == 0) })
}

/// `ST,+00123.4  g`, or `ST,GS,+  123.4 g` with a word for gross or net: header ST (stable), US (unstable) or OL (overload), commas, sign and digits with a point, unit. (A&D, "Data format",
/// EK-L series and others.)
fn and(line: &[u8]) -> Result<Weighed, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::Format("a character that is none"))?.trim();
    let (header, rest) = text.split_once(',').ok_or(Fault::Format("no comma"))?;
    let stable = match header {
        "ST" => true,
        "US" => false,
        "OL" => return Err(Fault::Overload),
        _ => return Err(Fault::Format("neither ST, US nor OL")),
    };
    let rest = rest.strip_prefix("GS,").or_else(|| rest.strip_prefix("NT,")).unwrap_or(rest);
    let number = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match rest.strip_prefix(number).unwrap_or_default() {
        "g" => 0,
        "kg" => 3,
        _ => return Err(Fault::Format("neither g nor kg")),
    };
    let number = number.trim();
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let digits = digits.trim_start();
    if !digits.bytes().any(|byte| byte.is_ascii_digit()) || digits.len() > 12 {
        return Err(Fault::Format("no weight"));
    }
    let (mut weight, mut decimals, mut point) = (0_i64, 0, false);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                weight = weight * 10 + i64::from(byte - b'0');
                decimals += i32::from(point);
            }
            b'.' if !point => point = true,
            _ => return Err(Fault::Format("no digit where the weight stands")),
        }
    }
    let weight = if negative { -weight } else { weight };
    Ok(Weighed { grams: grams(weight, unit - decimals)?, counts: None, stable: Some(stable) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(protocol: ScaleProtocol, line: &[u8]) -> Result<(i32, bool), TriggerErrorKind> {
        let weighed = protocol.read(line, "/dev/till/scale").map_err(|error| error.kind)?;
        Ok((weighed.grams, weighed.stable.unwrap()))
    }

    #[test]
    fn toledo_lines_with_decimals_units_sign_and_motion() {
        // A = '-' is 0x2d: decimals XXX.XXX; '+' 0x2b: XXXXX.X; '*' 0x2a: XXXXXX. B: 0x30 is kilograms, standing still.
        let cases: [(&[u8], (i32, bool)); 6] = [
            (b"\x02-0  000250000000", (0, true)),
            (b"\x02-0 000250000000", (250, true)),
            (b"\x02-8 001234000000", (1_234, false)),
            (b"\x02-2 000012", (-12, true)),
            (b"\x02*0!000950000000", (950, true)),
            (b"\x02+0!  9504000000", (950, true)),
        ];
        for (line, expected) in &cases[1..] {
            assert_eq!(read(ScaleProtocol::Toledo, line), Ok(*expected), "{:?}", String::from_utf8_lossy(line));
        }
        assert_eq!(read(ScaleProtocol::Toledo, cases[0].0), Err(TriggerErrorKind::Format), "one character too many");
        // Parity bits are no part of a character; what stood before the start is a line that was cut.
        let parity: Vec<u8> = b"0001\x02-0 000250000000".iter().map(|byte| byte | 0x80).collect();
        assert_eq!(read(ScaleProtocol::Toledo, &parity), Ok((250, true)));
        for (line, kind) in [
            (&b"\x02-4 000250000000"[..], TriggerErrorKind::Overload),
            (b"\x02-p 000250000000", TriggerErrorKind::Overload),
            (b"\x02-  000250000000", TriggerErrorKind::Format),
            (b"\x02-0 00025", TriggerErrorKind::Format),
            (b"ST,+00000.0  g", TriggerErrorKind::Format),
        ] {
            assert_eq!(read(ScaleProtocol::Toledo, line), Err(kind), "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn and_lines_with_and_without_gross_and_net() {
        for (line, expected) in [
            (&b"ST,+00123.4  g"[..], (123, true)),
            (b"US,-00123.5  g\r", (-124, false)),
            (b"ST,GS,+   1.234kg", (1_234, true)),
            (b"ST,NT,-  12.5 g", (-13, true)),
            (b"ST,+0000.250 kg", (250, true)),
        ] {
            assert_eq!(read(ScaleProtocol::And, line), Ok(expected), "{:?}", String::from_utf8_lossy(line));
        }
        for (line, kind) in [
            (&b"OL,+999999.9  g"[..], TriggerErrorKind::Overload),
            (b"QT,+00012345 PC", TriggerErrorKind::Format),
            (b"ST,+00123.4 lb", TriggerErrorKind::Format),
            (b"ST,+  g", TriggerErrorKind::Format),
            (b"ST,+1.2.3 g", TriggerErrorKind::Format),
            (b"\xff\xfe", TriggerErrorKind::Format),
        ] {
            assert_eq!(read(ScaleProtocol::And, line), Err(kind), "{:?}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_and_what_is_read_is_within_its_digits(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            for protocol in [ScaleProtocol::Toledo, ScaleProtocol::And] {
                let _ = protocol.read(&line, "p");
            }
        }

        #[test]
        fn what_a_scale_prints_is_what_is_read(grams in -99_999_i32..=99_999, stable: bool) {
            let head = if stable { "ST" } else { "US" };
            let line = format!("{head},{}{:07.1}  g", if grams < 0 { '-' } else { '+' }, grams.abs() as f32);
            prop_assert_eq!(read(ScaleProtocol::And, line.as_bytes()), Ok((grams, stable)));
            let b = 0x30 | if grams < 0 { 2 } else { 0 } | if stable { 0 } else { 8 };
            let line = format!("\x02-{} {:06}000000", char::from(b), grams.abs());
            prop_assert_eq!(read(ScaleProtocol::Toledo, line.as_bytes()), Ok((grams, stable)));
        }
    }
}
