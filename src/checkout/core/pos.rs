//! What the POS says, and what it means for the sale at hand and for sales that the books have forgotten.

use till_link::{Attention, Cart, Outcome, SaleId, ToPos, ToTill};

use crate::checkout::core::Core;
use crate::checkout::facts::Effect;
use crate::checkout::session::Happening;

impl Core {
    /// What a message of the POS means for the sale at hand; nothing for any other sale.
    pub(super) fn understand(&self, message: &ToTill) -> Option<Happening> {
        let offered = self.offered.as_ref()?;
        let mine = |sale: &SaleId| self.sale == Some(*sale);
        match message {
            ToTill::Paid { sale, revision, amount_minor, .. } if mine(sale) => {
                let last_offer = *revision == self.revision && *amount_minor == offered.total_minor;
                // Said before the question, perhaps, and given back since: the lost records may have ended the
                // sale. The POS's answer says how it stands in its books now.
                let doubtful = last_offer && sale.epoch != self.epoch;
                let happening = if last_offer { Happening::PaidFor } else { Happening::Refused };
                (!doubtful).then_some(happening)
            }
            ToTill::Cancel { sale } if mine(sale) => Some(Happening::Refused),
            ToTill::OutcomeIs { sale, outcome } if mine(sale) && self.attention == Some(Attention::OutcomeUnknown) => {
                Some(if *outcome == Some(Outcome::Paid) { Happening::PaidFor } else { Happening::Refused })
            }
            ToTill::Override { sale, reason } if mine(sale) && self.attention == Some(*reason) => {
                Some(Happening::Refused)
            }
            _ => None,
        }
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
