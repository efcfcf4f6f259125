//! What a board says of its power, clocks and heat: the INA3221 of a Jetson, cpufreq, devfreq and the thermal zones,
//! below a root as every check reads them. Where a board lacks one of them there is nothing to read, and that is said.
//!
//! Layouts are NVIDIA's, of its developer guides (chapters on power and clocks): L4T 32 (Nano, Xavier) has the INA3221
//! under driver `ina3221x` with `rail_name_N`, L4T 35 and later (Orin) under `ina3221` with hwmon's `inN_label`.

use super::Tree;

const CPU: &str = "/sys/devices/system/cpu";
const DEVFREQ: &str = "/sys/class/devfreq";
const THERMAL: &str = "/sys/class/thermal";
const DRIVERS: &str = "/sys/bus/i2c/drivers";
/// What the GPU's devfreq node is called: Nano and JetPack 6, Xavier, Orin, TX2.
const GPUS: [&str; 4] = [".gpu", ".gv11b", ".ga10b", ".gp10b"];

/// A supply whose current is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rail {
    /// As the board names it: `POM_5V_IN` and `VDD_IN` are all that goes in.
    pub name: String,
    volts: String,
    amps: String,
}

impl Rail {
    /// Volts, in thousandths.
    pub fn millivolts(&self, tree: &Tree) -> Option<u64> {
        tree.number(&self.volts)
    }

    /// Power, in thousandths of a watt.
    pub fn milliwatts(&self, tree: &Tree) -> Option<u64> {
        Some(self.millivolts(tree)?.checked_mul(tree.number(&self.amps)?)? / 1000)
    }

    /// Whether it is all that the board takes.
    pub fn is_input(&self) -> bool {
        matches!(self.name.as_str(), "POM_5V_IN" | "VDD_IN")
    }
}

/// Every rail that an INA3221 measures, chip by chip; a channel that nothing hangs on (`NC`) is none.
pub fn rails(tree: &Tree) -> Vec<Rail> {
    let mut found = Vec::new();
    let mut add = |name: Option<String>, volts: String, amps: String| {
        if let Some(name) = name.filter(|name| !matches!(name.as_str(), "" | "NC")) {
            found.push(Rail { name, volts, amps });
        }
    };
    for driver in ["ina3221x", "ina3221"] {
        for chip in tree.list(format!("{DRIVERS}/{driver}")) {
            let chip = format!("{DRIVERS}/{driver}/{chip}");
            for device in tree.list(&chip) {
                let at = format!("{chip}/{device}");
                for n in 0..3 {
                    let (volts, amps) = (format!("{at}/in_voltage{n}_input"), format!("{at}/in_current{n}_input"));
                    add(tree.text(format!("{at}/rail_name_{n}")), volts, amps);
                }
            }
            for device in tree.list(format!("{chip}/hwmon")) {
                let at = format!("{chip}/hwmon/{device}");
                // Behind the three channels stands their sum.
                for n in 1..=3 {
                    let (volts, amps) = (format!("{at}/in{n}_input"), format!("{at}/curr{n}_input"));
                    add(tree.text(format!("{at}/in{n}_label")), volts, amps);
                }
            }
        }
    }
    found
}

/// What the Nano measures at its own input, thousandths of a volt: `POM_5V_IN` of the INA3221.
pub fn supply_mv(tree: &Tree) -> Option<u64> {
    rails(tree).into_iter().find(|rail| rail.name == "POM_5V_IN")?.millivolts(tree)
}

/// A clock and the highest that it may reach now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// MHz.
    pub mhz: u64,
    /// MHz; `None` where the kernel doesn't say.
    pub cap_mhz: Option<u64>,
}

/// Of the core that runs fastest now; cores without work are slow on purpose.
pub fn cpu(tree: &Tree) -> Option<Clock> {
    let cores = tree.list(CPU).into_iter().filter(|n| n.strip_prefix("cpu").is_some_and(|n| n.parse::<u32>().is_ok()));
    let clock = |core: String| {
        let read = |name: &str| Some(tree.number(format!("{CPU}/{core}/cpufreq/{name}"))? / 1000);
        Some(Clock { mhz: read("scaling_cur_freq")?, cap_mhz: read("scaling_max_freq") })
    };
    cores.filter_map(clock).max_by_key(|clock| clock.mhz)
}

/// Of the GPU.
pub fn gpu(tree: &Tree) -> Option<Clock> {
    let node = tree.list(DEVFREQ).into_iter().find(|name| GPUS.iter().any(|kind| name.ends_with(kind)))?;
    let read = |name: &str| Some(tree.number(format!("{DEVFREQ}/{node}/{name}"))? / 1_000_000);
    Some(Clock { mhz: read("cur_freq")?, cap_mhz: read("max_freq") })
}

/// The hottest zone: thousandths of a degree Celsius, and its name.
pub fn hottest(tree: &Tree) -> Option<(u64, String)> {
    let zones = tree.list(THERMAL).into_iter().filter(|name| name.starts_with("thermal_zone"));
    let read = |zone: String| {
        let kind = tree.text(format!("{THERMAL}/{zone}/type"))?;
        // The Nano's PMIC zone always says 100 degrees.
        if kind == "PMIC-Die" {
            return None;
        }
        Some((tree.number(format!("{THERMAL}/{zone}/temp"))?, kind))
    };
    // Of equal ones the first.
    zones.filter_map(read).reduce(|most, zone| if zone.0 > most.0 { zone } else { most })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree(name: &str) -> Tree {
        Tree::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name))
    }

    /// Both trees are composed from NVIDIA's documented layouts, none was taken from a board.
    #[test]
    fn the_rails_of_a_nano_and_of_an_orin_by_hand() {
        for (name, wanted) in [
            ("doctor/nano-healthy", [("POM_5V_IN", 6028), ("POM_5V_GPU", 2009), ("POM_5V_CPU", 1205)]),
            ("sensors/orin-nano", [("VDD_IN", 9600), ("VDD_CPU_GPU_CV", 3200), ("VDD_SOC", 1600)]),
        ] {
            let tree = tree(name);
            let found: Vec<_> = rails(&tree).into_iter().map(|r| (r.name.clone(), r.milliwatts(&tree))).collect();
            assert_eq!(found, wanted.map(|(name, mw)| (name.to_owned(), Some(mw))), "{name}");
            assert_eq!(rails(&tree).iter().filter(|rail| rail.is_input()).count(), 1, "{name}");
        }
    }

    #[test]
    fn the_clocks_of_a_nano_and_of_an_orin_and_none_elsewhere() {
        let clock = |mhz, cap| Some(Clock { mhz, cap_mhz: Some(cap) });
        let nano = tree("doctor/nano-healthy");
        assert_eq!((cpu(&nano), gpu(&nano)), (clock(1479, 1479), clock(921, 921)));
        // One core sleeps, one works.
        let orin = tree("sensors/orin-nano");
        assert_eq!((cpu(&orin), gpu(&orin)), (clock(1510, 1510), clock(624, 624)));
        assert_eq!(hottest(&orin), Some((52_000, "gpu-thermal".into())));
        let empty = tempfile::tempdir().unwrap();
        let empty = Tree::new(empty.path());
        assert_eq!((rails(&empty), cpu(&empty), gpu(&empty), hottest(&empty)), (vec![], None, None, None));
    }

    #[test]
    fn a_channel_that_cannot_be_read_has_no_power() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon0");
        std::fs::create_dir_all(&at).unwrap();
        for (file, text) in [("in1_label", "VDD_IN"), ("in1_input", "5000"), ("in2_label", "NC"), ("in2_input", "1")] {
            std::fs::write(at.join(file), text).unwrap();
        }
        let tree = Tree::new(folder.path());
        let found = rails(&tree);
        assert_eq!(
            found.iter().map(|r| (r.millivolts(&tree), r.milliwatts(&tree))).collect::<Vec<_>>(),
            [(Some(5000), None)]
        );
    }
}
