//! The shopper who asked to be recognised, as the core sees it: when the face camera may be read, and what the POS is
//! told of it. Who it is was decided elsewhere; nothing is charged by it.

use till_link::{Hint, SaleId, Sku, ToPos};

use crate::checkout::facts::{Effect, FaceSaid};

/// How long a face is looked for before the shopper is told that it did not work.
const PATIENCE_MS: u64 = 30_000;

/// Whether a face is looked for, and who it was.
#[derive(Debug, Default)]
pub struct Asking {
    /// Since when; `None` while nobody asks.
    since_ms: Option<u64>,
    /// What the shopper was told last.
    hint: Option<Hint>,
    /// Who it seems to be.
    member: Option<Sku>,
}

impl Asking {
    /// Who the shopper of this session seems to be.
    pub fn member(&self) -> Option<&Sku> {
        self.member.as_ref()
    }

    /// The shopper asks.
    pub fn begin(&mut self, now_ms: u64, sink: &mut dyn FnMut(Effect)) {
        *self = Self { since_ms: Some(now_ms), ..Self::default() };
        sink(Effect::Recognise(true));
    }

    /// Nobody asks any longer, or "that is not me": what was known is forgotten.
    pub fn end(&mut self, sink: &mut dyn FnMut(Effect)) {
        if self.since_ms.is_some() {
            sink(Effect::Recognise(false));
        }
        *self = Self::default();
    }

    /// The face room's word. What comes late, after nobody asked any longer, is not heard.
    pub fn face(&mut self, sale: SaleId, said: &FaceSaid, sink: &mut dyn FnMut(Effect)) {
        if self.since_ms.is_none() {
            return;
        }
        match said {
            FaceSaid::Hint(hint) if self.hint == Some(*hint) => {}
            FaceSaid::Hint(hint) => {
                self.hint = Some(*hint);
                sink(guide(sale, *hint));
            }
            FaceSaid::Known { member, score_permille } => {
                self.end(sink);
                self.member = Some(member.clone());
                let (member, score_permille) = (member.clone(), *score_permille);
                sink(Effect::Volatile(ToPos::Member { sale, member, score_permille }));
            }
            FaceSaid::Unknown => self.last_word(sale, Hint::Unknown, sink),
            FaceSaid::Late => self.last_word(sale, Hint::Late, sink),
            FaceSaid::Failed => self.last_word(sale, Hint::Failed, sink),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64, sale: SaleId, sink: &mut dyn FnMut(Effect)) {
        if self.since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= PATIENCE_MS) {
            self.last_word(sale, Hint::Late, sink);
        }
    }

    fn last_word(&mut self, sale: SaleId, hint: Hint, sink: &mut dyn FnMut(Effect)) {
        self.end(sink);
        sink(guide(sale, hint));
    }
}

/// What the person before the camera is told.
pub fn guide(sale: SaleId, hint: Hint) -> Effect {
    Effect::Volatile(ToPos::Guide { sale: Some(sale), hint, step: 0, steps: 0 })
}
