//! Heat and a weak supply: what the counter leaves out before the board throttles or goes off. Pure: samples and their
//! time come in, at most one step at a time goes out. Down is quick, up is slow, and in between nothing moves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Tree, sensors};
use crate::config;

/// A rung that was left is not taken again before the board is so much cooler than what it was left for.
const COOLER_MC: u64 = 5_000;
/// And the supply so much better.
const BETTER_MV: u64 = 100;

/// How much the counter does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// Everything.
    #[default]
    Full,
    /// Every second frame is looked at.
    Half,
    /// Every fourth.
    Quarter,
    /// As before, and members are not recognised: they pay as everybody does.
    Faceless,
    /// Nothing is looked at and nothing sold; staff is called.
    Staff,
}

impl Load {
    const ALL: [Self; 5] = [Self::Full, Self::Half, Self::Quarter, Self::Faceless, Self::Staff];

    /// One less, unless there is none.
    fn deeper(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }

    /// One more, unless it is everything.
    fn higher(self) -> Option<Self> {
        Self::ALL.get((self as usize).checked_sub(1)?).copied()
    }

    /// Of so many frames one is looked at.
    pub fn stride(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Half => 2,
            Self::Quarter | Self::Faceless | Self::Staff => 4,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "everything runs",
            Self::Half => "every 2nd frame",
            Self::Quarter => "every 4th frame",
            Self::Faceless => "every 4th frame, no members",
            Self::Staff => "staff mode",
        })
    }
}

/// When to leave out what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From here on load is shed, thousandths of a degree Celsius.
    pub warm_mc: u64,
    /// From here on nothing is sold.
    pub hot_mc: u64,
    /// Below this the supply is weak, millivolts.
    pub supply_mv_min: u64,
    /// Between a step and one further down, milliseconds.
    pub down_ms: u64,
    /// All must be well for so long before a step up.
    pub up_ms: u64,
}

impl From<&config::Ladder> for Limits {
    fn from(config: &config::Ladder) -> Self {
        Self {
            warm_mc: config.warm_c * 1_000,
            hot_mc: config.hot_c * 1_000,
            supply_mv_min: config.supply_mv_min,
            down_ms: config.down_s * 1_000,
            up_ms: config.up_s * 1_000,
        }
    }
}

/// What the board's sensors say; `None` where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The hottest zone: thousandths of a degree Celsius and its name.
    pub heat: Option<(u64, String)>,
    /// At the input, millivolts.
    pub supply_mv: Option<u64>,
}

impl Sample {
    /// Reads the sensors.
    pub fn of(tree: &Tree) -> Self {
        Self { heat: sensors::hottest(tree), supply_mv: sensors::supply_mv(tree) }
    }
}

/// A step that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Where the counter is now.
    pub load: Load,
    /// Why; empty when everything runs.
    pub reason: String,
}

/// See the module's text.
#[derive(Debug)]
pub struct Ladder {
    limits: Limits,
    load: Load,
    changed_ms: Option<u64>,
    well_since_ms: Option<u64>,
    reason: String,
}

impl Ladder {
    /// At full load.
    pub fn new(limits: Limits) -> Self {
        Self { limits, load: Load::Full, changed_ms: None, well_since_ms: None, reason: String::new() }
    }

    /// The heat from which on `load` is as much as may run.
    fn limit_mc(&self, load: Load) -> u64 {
        if load == Load::Staff { self.limits.hot_mc } else { self.limits.warm_mc }
    }

    /// What calls for less than now.
    fn presses(&self, sample: &Sample) -> Option<(Load, String)> {
        let deeper = self.load.deeper()?;
        if let Some((milli, zone)) = sample.heat.as_ref().filter(|(milli, _)| *milli >= self.limit_mc(deeper)) {
            return Some((deeper, format!("{zone} has {} degrees", milli / 1_000)));
        }
        // A board whose supply is weak goes off when it works hardest; at rest it can still sell.
        let weak = sample.supply_mv.filter(|mv| deeper != Load::Staff && *mv < self.limits.supply_mv_min)?;
        Some((deeper, format!("{}.{:03} V at the input", weak / 1_000, weak % 1_000)))
    }

    /// Whether nothing calls for as little as now any more.
    fn relaxes(&self, sample: &Sample) -> bool {
        let cool = sample.heat.as_ref().is_none_or(|(milli, _)| milli + COOLER_MC <= self.limit_mc(self.load));
        // Staff mode has nothing to do with the supply.
        cool && (self.load == Load::Staff
            || sample.supply_mv.is_none_or(|mv| mv >= self.limits.supply_mv_min + BETTER_MV))
    }

    /// Takes a sample; tells the step, if one was taken.
    pub fn sample(&mut self, now_ms: u64, sample: &Sample) -> Option<Step> {
        let since = |then_ms: Option<u64>| then_ms.map_or(u64::MAX, |then_ms| now_ms.saturating_sub(then_ms));
        if !self.relaxes(sample) {
            self.well_since_ms = None;
        } else if self.well_since_ms.is_none() {
            self.well_since_ms = Some(now_ms);
        }
        if let Some((deeper, reason)) = self.presses(sample) {
            if since(self.changed_ms) < self.limits.down_ms {
                return None;
            }
            (self.load, self.reason) = (deeper, reason);
        } else {
            let rested = self.well_since_ms.is_some() && since(self.well_since_ms) >= self.limits.up_ms;
            let higher = self.load.higher().filter(|_| rested && since(self.changed_ms) >= self.limits.up_ms)?;
            self.load = higher;
            if higher == Load::Full {
                self.reason.clear();
            }
        }
        (self.changed_ms, self.well_since_ms) = (Some(now_ms), None);
        Some(Step { load: self.load, reason: self.reason.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { warm_mc: 75_000, hot_mc: 88_000, supply_mv_min: 4_750, down_ms: 10_000, up_ms: 60_000 };

    fn sample(degrees: u64, supply_mv: u64) -> Sample {
        Sample { heat: Some((degrees * 1_000, "CPU-therm".into())), supply_mv: Some(supply_mv) }
    }

    #[test]
    fn a_hot_day_goes_down_step_by_step_and_all_the_way_back() {
        let mut ladder = Ladder::new(LIMITS);
        let mut steps = Vec::new();
        for second in 0..700_u64 {
            let degrees = match second {
                0..100 => 80,
                100..200 => 90,
                _ => 60,
            };
            if let Some(step) = ladder.sample(second * 1_000, &sample(degrees, 5_000)) {
                steps.push((second, step.load, step.reason));
            }
        }
        let hot = |degrees: u64| format!("CPU-therm has {degrees} degrees");
        let wanted = [
            (0, Load::Half, hot(80)),
            (10, Load::Quarter, hot(80)),
            (20, Load::Faceless, hot(80)),
            (100, Load::Staff, hot(90)),
            (260, Load::Faceless, hot(90)),
            (321, Load::Quarter, hot(90)),
            (382, Load::Half, hot(90)),
            (443, Load::Full, String::new()),
        ];
        assert_eq!(steps, wanted);
    }

    #[test]
    fn a_weak_supply_sheds_load_but_goes_on_selling() {
        let mut ladder = Ladder::new(LIMITS);
        let steps: Vec<Load> =
            (0..200).filter_map(|s| Some(ladder.sample(s * 1_000, &sample(50, 4_600))?.load)).collect();
        assert_eq!(steps, [Load::Half, Load::Quarter, Load::Faceless]);
        // Between weak and well nothing moves.
        assert!((200..900).all(|s| ladder.sample(s * 1_000, &sample(50, 4_800)).is_none()));
        let no_sensor = Sample::default();
        assert!((900..1_200).any(|s| ladder.sample(s * 1_000, &no_sensor).is_some_and(|s| s.load == Load::Full)));
    }

    proptest! {
        #[test]
        fn it_goes_one_step_at_a_time_never_flaps_and_recovers(
            samples in proptest::collection::vec((1_u64..30_000, 60_u64..95, 4_500_u64..5_200), 1..300)
        ) {
            let mut ladder = Ladder::new(LIMITS);
            let (mut now_ms, mut load, mut changed_ms) = (0, Load::Full, None::<u64>);
            for (gap_ms, degrees, supply_mv) in samples {
                now_ms += gap_ms;
                let Some(step) = ladder.sample(now_ms, &sample(degrees, supply_mv)) else { continue };
                prop_assert_eq!((step.load as i32 - load as i32).abs(), 1);
                let rest_ms = changed_ms.map_or(u64::MAX, |then: u64| now_ms - then);
                let rest_ms_min = if step.load < load { LIMITS.up_ms } else { LIMITS.down_ms };
                prop_assert!(rest_ms >= rest_ms_min);
                prop_assert_eq!(step.reason.is_empty(), step.load == Load::Full);
                if step.load > load {
                    prop_assert!(degrees >= 75 || supply_mv < 4_750, "down without need");
                }
                (load, changed_ms) = (step.load, Some(now_ms));
            }
            for _ in 0..400 {
                now_ms += 1_000;
                if let Some(step) = ladder.sample(now_ms, &sample(60, 5_000)) {
                    load = step.load;
                }
            }
            prop_assert_eq!(load, Load::Full);
        }
    }
}
