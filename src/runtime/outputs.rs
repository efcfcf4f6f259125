//! The thread of lamp, buzzer and gate lock: hears which signs stand, drives each line by its rule, opens it anew when it
//! is gone, and leaves all of them in their safe state at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use till_link::{Outcome, Phase, Rung, ToPos};

use crate::checkout::Effect;
use crate::config::{self, Sign};
use crate::counter::Observer;
use crate::runtime::clock;
use crate::runtime::devices::Device;
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;
use crate::runtime::status::OutputStatus;
use crate::trigger::TriggerError;
use crate::trigger::output::{Output, Rule, Signs, Switch};

/// Pulses end this exactly.
const EVERY: Duration = Duration::from_millis(20);

/// What the counter says and does, as signs. `Paid` stands until the next shopper.
fn learn(signs: Signs, effect: &Effect) -> Signs {
    match effect {
        Effect::Durable(ToPos::Closed { outcome: Outcome::Paid, .. }) => signs.with(Sign::Paid, true),
        Effect::Volatile(ToPos::State { phase, rung, .. }) => {
            let live = !matches!(phase, Phase::Idle | Phase::Clearing);
            let over = matches!(phase, Phase::Idle | Phase::Present);
            signs
                .with(Sign::Live, live)
                .with(Sign::Attention, *phase == Phase::Attention)
                .with(Sign::Staff, *rung == Rung::StaffMode)
                .with(Sign::Paid, signs.has(Sign::Paid) && !over)
        }
        _ => signs,
    }
}

/// Hears every effect of the counter and tells the thread of each change.
pub fn observer(to: Sender<Signs>) -> Observer {
    let mut signs = Signs::default();
    Box::new(move |_, effect| {
        let now = learn(signs, effect);
        if now != signs {
            signs = now;
            if let Err(TrySendError::Full(_)) = to.try_send(now) {
                log::warn!("outputs: the lines are behind, a sign was dropped");
            }
        }
    })
}

/// One line with its rule and what it shows.
struct Driven {
    device: Device<config::Output, Box<dyn Switch>>,
    rule: Rule,
    shows: Option<bool>,
    error: Option<String>,
}

/// See the module's text.
pub struct Outputs {
    driven: Vec<Driven>,
    told: Option<Vec<OutputStatus>>,
}

type Open<'o> = &'o mut dyn FnMut(&config::Output) -> Result<Box<dyn Switch>, TriggerError>;

fn open(config: &config::Output) -> Result<Box<dyn Switch>, TriggerError> {
    Ok(Box::new(Output::open(config, config.safe)?))
}

impl Outputs {
    /// Of the configuration; `None` where it has none.
    pub fn of(outputs: &[config::Output]) -> Option<Self> {
        let driven = |config: &config::Output| Driven {
            rule: Rule::of(config),
            device: Device::new(config.clone()),
            shows: None,
            error: None,
        };
        (!outputs.is_empty()).then(|| Self { driven: outputs.iter().map(driven).collect(), told: None })
    }

    /// Drives them until `stop`, or until nobody tells signs any more.
    pub fn run(mut self, signs: &Receiver<Signs>, out: &Sender<ToCounter>, heart: &Heart, stop: &AtomicBool) {
        let mut stand = Signs::default();
        while !stop.load(Ordering::Relaxed) {
            match signs.recv_timeout(EVERY) {
                Ok(now) => stand = now,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now_ms = clock::monotonic_ms();
            heart.beat(now_ms);
            if let Some(told) = self.turn(now_ms, stand, &mut open) {
                let _ = out.try_send(ToCounter::Outputs(told));
            }
        }
        self.rest();
    }

    /// Drives each line; tells how they are where that has changed.
    fn turn(&mut self, now_ms: u64, signs: Signs, open: Open) -> Option<Vec<OutputStatus>> {
        for driven in &mut self.driven {
            let wanted = driven.rule.is_on(now_ms, signs);
            if driven.device.comes(now_ms, |config| open(config)) {
                driven.shows = None;
            }
            if let Some(line) = driven.device.open.as_mut().filter(|_| driven.shows != Some(wanted)) {
                match line.set(wanted) {
                    Ok(()) => {
                        driven.shows = Some(wanted);
                        driven.device.works(|config| config.place.to_string());
                    }
                    Err(error) => {
                        driven.shows = None;
                        driven.device.failed(now_ms, error);
                    }
                }
            }
            driven.device.tell(&mut driven.error);
        }
        let now: Vec<OutputStatus> = self.driven.iter().map(Driven::status).collect();
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now);
        self.told.clone()
    }

    /// The safe state, before the lines are given back.
    fn rest(&mut self) {
        for driven in &mut self.driven {
            let safe = driven.device.config.safe;
            if let Some(Err(error)) = driven.device.open.as_mut().map(|line| line.set(safe)) {
                log::error!("{error}; it may not be in its safe state");
            }
        }
    }
}

impl Driven {
    fn status(&self) -> OutputStatus {
        let config = &self.device.config;
        OutputStatus {
            name: config.name.into(),
            line: config.place.to_string(),
            on: self.shows,
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use till_link::message::Text;
    use till_link::{Cart, Currency, SaleId};

    use super::*;
    use crate::config::LinePlace;
    use crate::trigger::TriggerErrorKind;

    /// A line that notes what it was told, and can be pulled.
    #[derive(Clone, Default)]
    struct Noted(Arc<Mutex<(Vec<bool>, bool)>>);

    impl Switch for Noted {
        fn set(&mut self, on: bool) -> Result<(), TriggerError> {
            let mut noted = self.0.lock().unwrap();
            if noted.1 {
                return Err(TriggerError::new(TriggerErrorKind::Lost, "line LOCK", "went away"));
            }
            noted.0.push(on);
            Ok(())
        }
    }

    fn lock(on: &[Sign], pulse_ms: u64, safe: bool) -> config::Output {
        let place = LinePlace::Named("LOCK".into());
        config::Output { name: "lock", place, active_low: false, on: on.to_vec(), pulse_ms, safe }
    }

    fn state(phase: Phase, rung: Rung) -> Effect {
        Effect::Volatile(ToPos::State { phase, rung, reason: Text::new(), precision: None })
    }

    #[test]
    fn effects_become_signs() {
        let sale = SaleId { counter: 1, epoch: 2, session: 3 };
        let cart = Cart {
            lines: heapless::Vec::new(),
            total_minor: 0,
            currency: Currency(*b"KRW"),
            catalogue_version: 1,
            mass_g: 0,
        };
        let closed = |outcome| Effect::Durable(ToPos::Closed { sale, revision: 1, outcome, cart: cart.clone() });
        let mut signs = Signs::default();
        let mut seen = |effect: &Effect| {
            signs = learn(signs, effect);
            [Sign::Live, Sign::Paid, Sign::Attention, Sign::Staff].map(|sign| signs.has(sign))
        };
        assert_eq!(seen(&state(Phase::Scanning, Rung::Rten)), [true, false, false, false]);
        assert_eq!(seen(&state(Phase::Attention, Rung::StaffMode)), [true, false, true, true]);
        assert_eq!(seen(&closed(Outcome::Cancelled)), [true, false, true, true], "nothing was paid");
        assert_eq!(seen(&closed(Outcome::Paid)), [true, true, true, true]);
        assert_eq!(seen(&state(Phase::Clearing, Rung::Rten)), [false, true, false, false]);
        assert_eq!(seen(&state(Phase::Idle, Rung::Rten)), [false; 4]);
    }

    #[test]
    fn a_gate_opens_for_what_was_paid_survives_its_cable_and_rests_locked() {
        let noted = Noted::default();
        let mut outputs = Outputs::of(&[lock(&[Sign::Paid], 5_000, false)]).unwrap();
        let mut opened = 0;
        let line = noted.clone();
        let mut open = |_: &config::Output| -> Result<Box<dyn Switch>, TriggerError> {
            opened += 1;
            Ok(Box::new(line.clone()))
        };
        let (none, paid) = (Signs::default(), Signs::default().with(Sign::Paid, true));
        assert!(outputs.turn(0, none, &mut open).is_some());
        assert!(outputs.turn(20, none, &mut open).is_none(), "nothing new");
        outputs.turn(1_000, paid, &mut open);
        outputs.turn(5_980, none, &mut open);
        outputs.turn(6_000, none, &mut open);
        assert_eq!(noted.0.lock().unwrap().0, [false, true, false]);
        // The line goes away when it is needed, and comes back within the pulse.
        noted.0.lock().unwrap().1 = true;
        let told = outputs.turn(7_000, paid, &mut open).unwrap();
        assert_eq!((told[0].on, told[0].error.as_deref()), (None, Some("line LOCK: went away")));
        noted.0.lock().unwrap().1 = false;
        outputs.turn(8_100, paid, &mut open);
        assert_eq!(noted.0.lock().unwrap().0.last(), Some(&true));
        outputs.rest();
        assert_eq!(noted.0.lock().unwrap().0.last(), Some(&false), "the safe state");
        assert_eq!(opened, 2);
    }

    #[test]
    fn a_lock_that_must_open_at_exit_does() {
        let noted = Noted::default();
        let line = noted.clone();
        let mut outputs = Outputs::of(&[lock(&[Sign::Paid], 0, true)]).unwrap();
        outputs.turn(0, Signs::default(), &mut |_| Ok(Box::new(line.clone())));
        outputs.rest();
        assert_eq!(noted.0.lock().unwrap().0, [false, true]);
        assert!(Outputs::of(&[]).is_none());
    }
}
