//! What goes into the core and what comes out of it, as plain data.

use till_link::message::Text;
use till_link::{Attention, Cart, Hint, Phase, Precision, Rung, SaleId, Sku, ToPos, ToTill};

use crate::trigger::TriggerEvent;
use crate::vision::TrayObservation;

/// What the configuration decides about a session.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Agreement must stand this long before an offer.
    pub settle_ms: u64,
    /// An item with fewer votes is not believed.
    pub votes_min: u16,
    /// An empty tray must stay empty this long before the next session.
    pub clear_ms: u64,
    /// What the tray speaks against a sale must stand this long before it is raised.
    pub attention_ms: u64,
    /// More load than this is goods, grams.
    pub load_present_g: i32,
    /// While an offer stands, a load that moves by more than this takes it back, grams.
    pub hold_g: i32,
    /// Whether there is a scale; without one no mass is compared.
    pub scale: bool,
    /// Whether a shopper who asks can be recognised: there is a face camera, and there are members.
    pub members: bool,
}

impl Settings {
    /// For simulated and scripted shoppers: the configuration's defaults, but the next one need not wait as long.
    pub const SCRIPTED: Self = Self {
        settle_ms: 800,
        votes_min: 5,
        clear_ms: 500,
        attention_ms: 1_500,
        load_present_g: 5,
        hold_g: 10,
        scale: true,
        members: false,
    };
}

/// What comes in.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed.
    Tick,
    /// Line or scale.
    Trigger(TriggerEvent),
    /// The tray, after one frame.
    Tray(&'a TrayObservation),
    /// The POS; a durable one is in the books already.
    Pos(&'a ToTill),
    /// The face of a shopper who asked to be recognised.
    Face(&'a FaceSaid),
    /// How the rooms are.
    Health(Health),
    /// What runs the detector, from now on.
    RunsOn(&'a RunsOn),
    /// The link came up: the POS knows nothing volatile yet.
    LinkUp,
    /// The link went down: who asked over it asks no longer.
    LinkDown,
}

/// What the face camera's room found, of one shopper who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaceSaid {
    /// What the shopper should do.
    Hint(Hint),
    /// It seems to be this member.
    Known {
        /// The member's id.
        member: Sku,
        /// Similarity, 0..=1000.
        score_permille: u16,
    },
    /// Nobody who is enrolled.
    Unknown,
    /// Not in time.
    Late,
    /// It can't be told here: no camera, no engine, no members.
    Failed,
}

/// What the core must know of the rooms around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The tray camera delivers no pictures, or does again.
    CameraLost(bool),
    /// No engine works, or one does again.
    EngineFailed(bool),
    /// The board is too hot to look, or no longer; what runs the detector has the reason.
    Resting(bool),
    /// The books can't be written, or can again.
    StorageFull(bool),
}

/// What runs the detector, as the POS hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsOn {
    /// The rung of the ladder.
    pub rung: Rung,
    /// How it computes.
    pub precision: Precision,
    /// Why nothing better does; empty when all is well.
    pub reason: Text,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Into the books, then to the POS.
    Durable(ToPos),
    /// To the POS if it is there.
    Volatile(ToPos),
    /// Vision may run (true) or sleep.
    Look(bool),
    /// The face camera may be read (true), or no longer.
    Recognise(bool),
}

/// An offer whose end is not in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSale {
    /// Which.
    pub sale: SaleId,
    /// Its last offer.
    pub revision: u16,
    /// What was offered.
    pub cart: Cart,
}

/// What `till status` shows of the core.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Where the session stands.
    pub phase: Phase,
    /// The session, unless idle.
    pub sale: Option<SaleId>,
    /// What is in the way.
    pub attention: Option<Attention>,
    /// A person at the POS has seen it and comes.
    pub acknowledged: bool,
    /// What lies on the tray.
    pub cart: Option<&'a Cart>,
    /// Who the shopper, who asked, seems to be.
    pub member: Option<&'a Sku>,
}
