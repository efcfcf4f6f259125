//! A person at the POS enrols a new member: between sales only, and never in the way of one.

use till_link::{Hint, Phase, Sku, ToPos};

use super::{Counter, key};

/// What the person who is being enrolled should do, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guided {
    /// What.
    pub hint: Hint,
    /// Poses taken.
    pub step: u8,
    /// Poses asked for.
    pub steps: u8,
    /// The last word.
    pub over: bool,
}

impl Guided {
    /// It can't be done; nothing was kept.
    pub const FAILED: Self = Self { hint: Hint::Failed, step: 0, steps: 0, over: true };
}

impl Counter {
    /// Who is being enrolled and to which text they agreed, while a question is open that is an enrolment.
    pub fn enrolling(&self) -> Option<&(Sku, Sku)> {
        self.enrolling.as_ref()
    }

    /// The face camera's room about an enrolment; a word about an earlier one is not heard.
    pub fn enrolled(&mut self, question: u32, guided: Guided) {
        if question == 0 || question != self.asked || self.enrolling.is_none() {
            return;
        }
        self.guide(guided);
        if guided.over {
            self.stop_enrolling();
        }
    }

    /// The POS begins one, or stops it.
    pub(super) fn enrol(&mut self, member: &Sku, consent: &Sku, on: bool) {
        self.stop_enrolling();
        if !on {
            return;
        }
        // Whoever stands there to be enrolled is seen by the presence line, but puts nothing down.
        if self.members && self.asked == 0 && self.between_sales() {
            self.ask();
            self.enrolling = Some((member.clone(), consent.clone()));
        } else {
            self.guide(Guided::FAILED);
        }
    }

    /// A sale begins, or the POS is gone: an enrolment ends, and nothing of it was kept.
    pub(super) fn give_way(&mut self, link_down: bool) {
        if self.enrolling.is_some() && (link_down || !self.between_sales()) {
            self.guide(Guided::FAILED);
            self.stop_enrolling();
        }
    }

    fn between_sales(&self) -> bool {
        matches!(self.core.view().phase, Phase::Idle | Phase::Present)
    }

    fn stop_enrolling(&mut self) {
        if self.enrolling.take().is_some() {
            self.asked = 0;
        }
    }

    fn guide(&mut self, Guided { hint, step, steps, .. }: Guided) {
        let guide = ToPos::Guide { sale: None, hint, step, steps };
        self.books.send(key(&guide), &guide);
    }
}
