//! An enrolment at the counter: pose by pose, with words for the POS's screen, and at its end one record in the vault.
//! Dropped before that, it leaves nothing.

use till_link::{Hint, Sku};

use crate::counter::Guided;
use crate::people::Members;
use crate::people::enrol::{Enrolment, FinishError, Progress, Rules};
use crate::people::vault::{Consent, Facing, Method, Record, Template, VaultError, VaultErrorKind};
use crate::runtime::clock;
use crate::runtime::face::Recogniser;
use crate::vision::VisionError;
use crate::vision::face::Looked;

/// One person being enrolled.
pub struct Enrolling {
    id: Sku,
    consent: Sku,
    enrolment: Enrolment,
    steps: u8,
    said: Option<Guided>,
}

impl Enrolling {
    /// Begins at `now_ms`, for a person with this id who agreed to that version of the text, with these poses.
    pub fn new((id, consent): (Sku, Sku), order: &[Facing], now_ms: u64) -> Self {
        let rules = Rules { order: order.to_vec(), ..Rules::default() };
        let steps = u8::try_from(rules.order.len()).unwrap_or(u8::MAX);
        Self { id, consent, enrolment: Enrolment::new(rules, now_ms), steps, said: None }
    }

    /// What the frame that `recogniser` looked at last showed; gives what is new to be said.
    pub fn see(
        &mut self,
        looked: &Looked,
        recogniser: &mut Recogniser,
        members: &Members,
        vector: &mut Vec<f32>,
        now_ms: u64,
    ) -> Result<Option<Guided>, VisionError> {
        let progress =
            self.enrolment.look(looked, vector, now_ms, |face, vector| recogniser.vision.embed(face, vector))?;
        let guided = match progress {
            Progress::Asking { guide, taken } => self.guided(guide.hint(), taken, false),
            Progress::Done => {
                let hint = self.keep(recogniser, members, now_ms);
                self.guided(hint, usize::from(self.steps), true)
            }
            Progress::Failed(failure) => self.guided(failure.hint(), 0, true),
        };
        Ok((self.said.replace(guided) != Some(guided)).then_some(guided))
    }

    fn guided(&self, hint: Hint, taken: usize, over: bool) -> Guided {
        Guided { hint, step: u8::try_from(taken).unwrap_or(u8::MAX), steps: self.steps, over }
    }

    /// All poses are taken: into the vault with them, unless the face is somebody's already.
    fn keep(&mut self, recogniser: &mut Recogniser, members: &Members, now_ms: u64) -> Hint {
        let enrolment = std::mem::replace(&mut self.enrolment, Enrolment::new(Rules::default(), now_ms));
        let threshold = recogniser.policy.threshold(&recogniser.curve, members.gallery.len());
        let taken = match enrolment.finish(&members.gallery, threshold, None) {
            Ok(taken) => taken,
            Err(FinishError::Failed(failure)) => return failure.hint(),
            Err(FinishError::Gallery(error)) => {
                log::error!("face: {error}");
                return Hint::Failed;
            }
        };
        let at_s = clock::wall_s();
        let network = recogniser.shelf.network();
        let template = |t: &crate::people::enrol::Taken| Template {
            network: network.to_owned(),
            facing: t.facing,
            vector: t.vector.clone(),
        };
        let version = self.consent.as_str().to_owned();
        let record = Record {
            id: self.id.as_str().to_owned(),
            name: None,
            created_s: at_s,
            consent: Consent { version, text_sha256: None, at_s, method: Method::Counter },
            templates: taken.iter().map(template).collect(),
        };
        match recogniser.shelf.put(&record) {
            Ok(()) => Hint::Done,
            Err(error) => {
                log::error!("face: nobody was enrolled: {}", why(&error));
                Hint::Failed
            }
        }
    }
}

/// Without the id that a person may have been given.
fn why(error: &VaultError) -> String {
    match error.kind {
        VaultErrorKind::Exists => "the id is somebody's already".to_owned(),
        _ => error.to_string(),
    }
}
