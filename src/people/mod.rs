//! Who is known, and how sure one must be: thresholds from measured error rates, statistics of recognition, and the
//! vault in which members are kept. Nothing here sees a picture. Words as in ISO/IEC 19795-1: FMR (a pair of strangers matches), FNMR (a pair of one person
//! doesn't), FPIR (a stranger is identified), FNIR (a member isn't). Read next: `threshold`, `metrics`, then `vault`.

pub mod decision;
pub mod enrol;
pub mod liveness;
pub mod members;
pub mod metrics;
pub mod rivals;
pub mod shelf;
pub mod threshold;
pub mod vault;

pub use decision::{Decision, Evidence};
pub use enrol::{Enrolment, Guide, Progress};
pub use members::{Member, Members};
pub use threshold::{FmrCurve, Policy};
