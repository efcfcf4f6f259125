//! A counter that was restarted, or whose books may lack records: it offers nothing before the POS was heard, and
//! what lies on the tray may have been paid.

use till_link::{Attention, Cart, Outcome, Phase, ToPos};

use crate::checkout::core::Core;
use crate::checkout::facts::{Effect, OpenSale};

impl Core {
    /// After a restart: an offer was made and its end is not in the books. Asks the POS by the sale's id.
    pub fn recover(&mut self, now_ms: u64, open: OpenSale, sink: &mut dyn FnMut(Effect)) {
        if open.sale.epoch == self.epoch {
            self.session_last = self.session_last.max(open.sale.session);
        }
        self.sale = Some(open.sale);
        self.revision = open.revision;
        self.offered = Some(open.cart);
        self.restarted = true;
        self.phase = Phase::Attention;
        self.phase_since_ms = now_ms;
        self.attention = Some(Attention::OutcomeUnknown);
        sink(Effect::Look(true));
        sink(Effect::Durable(ToPos::QueryOutcome { sale: open.sale, revision: open.revision }));
        self.tell_attention(true, sink);
    }

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
}
