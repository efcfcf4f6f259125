//! Members, as the daemon knows them: the vault itself is closed to a check.

use super::{Answer, Seen, Site, ok, skipped, warn};

/// After another embedder came, nobody who was enrolled before is known any more.
pub(super) fn again(site: &Site) -> Seen {
    let status = site.status()?;
    let face = status.face.as_ref().ok_or_else(|| Answer::skipped("there is no face camera"))?;
    match (face.enrol_again, face.members) {
        (0, 0) => skipped("nobody is enrolled"),
        (0, n) => ok(format!("{n} people can be recognised")),
        (n, known) => warn(
            format!("{n} people were enrolled with another network and are not known; {known} are"),
            "till people list names them; each enrols again, or put the former embedder back",
        ),
    }
}

pub(super) fn damaged(site: &Site) -> Seen {
    let status = site.status()?;
    let face = status.face.as_ref().ok_or_else(|| Answer::skipped("there is no face camera"))?;
    match face.damaged {
        0 => ok("every record opens"),
        n => warn(format!("{n} records do not open"), "till people verify tells which; delete them and enrol again"),
    }
}
