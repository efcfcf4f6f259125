//! A counter whose books may lack records: it offers nothing before the POS was heard, and what lies on the
//! tray may have been paid.

use till_link::{Attention, Cart, Outcome, Phase, SaleId, ToPos, ToTill};

use crate::checkout::core::Core;
use crate::checkout::facts::Effect;

impl Core {
    /// After a restart: the last sale in the books was paid, and its goods may still lie on the tray.
    pub fn recover_paid(&mut self, now_ms: u64, cart: Cart, sink: &mut dyn FnMut(Effect)) {
        self.phase = Phase::Clearing;
        self.phase_since_ms = now_ms;
        self.restarted = true;
        self.left_over = Some(cart);
        sink(Effect::Look(true));
    }

    /// Offers nothing before the link came up: only then is it known whether the books are whole.
    pub fn wait_for_link(&mut self) {
        self.unlinked = true;
    }

    /// The books may lack the last sales: the tray must be seen empty before anything is sold.
    pub fn doubt(&mut self, now_ms: u64, sink: &mut dyn FnMut(Effect)) {
        self.doubted = true;
        self.restarted = true;
        // The POS, or a person, ends what is asked for; behind every end the tray is cleared.
        if self.attention == Some(Attention::OutcomeUnknown) || self.phase == Phase::Clearing {
            return;
        }
        self.close(Outcome::Cancelled, sink);
        self.came = self.presence;
        self.phase = Phase::Clearing;
        self.phase_since_ms = now_ms;
        self.empty_since_ms = None;
        self.tray = None;
        self.tally = None;
        self.state_due = true;
        sink(Effect::Look(true));
    }

    /// The books lacked records and were begun anew: sales are named by their new `epoch` from now on.
    pub fn renewed(&mut self, now_ms: u64, epoch: u32, sink: &mut dyn FnMut(Effect)) {
        self.epoch = epoch;
        self.doubt(now_ms, sink);
        // A session's number is never above its record's in the outbox, from which a restart goes on.
        self.session_last = 0;
    }

    /// Money for a sale of given-up books that they do not know any more goes back. The first end of a sale
    /// stands, so this one changes nothing where the lost records had another (L-083).
    pub(super) fn disown(&self, message: &ToTill, sink: &mut dyn FnMut(Effect)) {
        if let ToTill::Paid { sale, revision, .. } = message
            && self.is_disowned(*sale)
        {
            let cart = Cart {
                lines: Default::default(),
                total_minor: 0,
                currency: self.catalogue.currency(),
                catalogue_version: self.catalogue.version(),
                mass_g: 0,
            };
            sink(Effect::Durable(ToPos::Closed {
                sale: *sale,
                revision: *revision,
                outcome: Outcome::Cancelled,
                cart,
            }));
        }
    }

    fn is_disowned(&self, sale: SaleId) -> bool {
        sale.counter == self.counter && sale.epoch != self.epoch && self.sale != Some(sale)
    }
}
