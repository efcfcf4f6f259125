//! A camera's controls out of the configuration: set at each opening, read back, and what did not come
//! true is told in one line. Never a reason not to open: a camera without a focus still sees.

use super::device::{Answer, Device};

const USER: u32 = 0x0098_0900;
const CAMERA: u32 = 0x009a_0900;
const WHITE_BALANCE_AUTO: u32 = USER + 12;
const GAIN_AUTO: u32 = USER + 18;
const GAIN: u32 = USER + 19;
const POWER_LINE: u32 = USER + 24;
const WHITE_BALANCE: u32 = USER + 26;
const EXPOSURE_AUTO: u32 = CAMERA + 1;
const EXPOSURE: u32 = CAMERA + 2;
const FOCUS: u32 = CAMERA + 10;
const FOCUS_AUTO: u32 = CAMERA + 12;

/// What each is to be; `None` leaves it as the camera has it, -1 lets the camera choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Microseconds.
    pub exposure_us: Option<i32>,
    /// Kelvin.
    pub white_balance_k: Option<i32>,
    /// In the camera's own steps.
    pub focus: Option<i32>,
    /// In the camera's own steps.
    pub gain: Option<i32>,
    /// 50 or 60.
    pub power_line_hz: Option<i32>,
}

/// Sets what is wanted; what the camera lacks or took otherwise, in words.
pub fn apply(device: &mut dyn Device, controls: &Controls) -> Vec<String> {
    let mut remarks = Vec::new();
    // Menu entries of EXPOSURE_AUTO: 1 is manual; of the automatic ones UVC cameras have 3, others 0.
    own(device, &mut remarks, "exposure_us", controls.exposure_us, (EXPOSURE_AUTO, 1, &[3, 0]), EXPOSURE, 100);
    let white = controls.white_balance_k;
    own(device, &mut remarks, "white_balance_k", white, (WHITE_BALANCE_AUTO, 0, &[1]), WHITE_BALANCE, 1);
    own(device, &mut remarks, "focus", controls.focus, (FOCUS_AUTO, 0, &[1]), FOCUS, 1);
    own(device, &mut remarks, "gain", controls.gain, (GAIN_AUTO, 0, &[1]), GAIN, 1);
    if let Some(hz) = controls.power_line_hz {
        let entry = if hz == 60 { 2 } else { 1 };
        match set(device, POWER_LINE, entry) {
            Ok(got) if got == entry => {}
            Ok(_) => remarks.push(format!("power_line_hz {hz} was not taken")),
            Err(_) => remarks.push("it has no power_line_hz".into()),
        }
    }
    remarks
}

/// One control and the switch that gives it to us (`manual`) or to the camera (one of `automatic`). `unit`:
/// of ours in one of the camera's.
fn own(
    device: &mut dyn Device,
    remarks: &mut Vec<String>,
    name: &str,
    want: Option<i32>,
    (switch, manual, automatic): (u32, i32, &[i32]),
    id: u32,
    unit: i32,
) {
    let Some(want) = want else { return };
    if want < 0 {
        let taken = automatic.iter().any(|entry| set(device, switch, *entry) == Ok(*entry));
        if !taken {
            remarks.push(format!("it has no automatic {name}"));
        }
        return;
    }
    // A camera without the switch is always manual.
    let _ = set(device, switch, manual);
    // Half of a step would round to nothing.
    let steps = (want / unit).max(i32::from(want > 0));
    match set(device, id, steps) {
        Ok(got) if got == steps => {}
        Ok(got) => remarks.push(format!("{name} {want} became {}", got.saturating_mul(unit))),
        Err(_) => remarks.push(format!("it has no {name}")),
    }
}

/// Sets within the limits and reads back.
fn set(device: &mut dyn Device, id: u32, value: i32) -> Answer<i32> {
    let limits = device.control(id)?;
    let value = value.clamp(limits.min.min(limits.max), limits.max.max(limits.min));
    device.set(id, value)?;
    device.get(id)
}
