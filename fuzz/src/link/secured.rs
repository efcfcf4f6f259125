use super::{endpoint, stranger};

/// The keyed level: between two ends with the key everything is as without one, and whoever has none gets
/// nothing through. The first byte says which of the two; the rest is as for `endpoint` and `stranger`.
pub fn secured(data: &[u8]) {
    match data.split_first() {
        Some((way, data)) if way & 1 == 0 => endpoint::two_ends(data, true),
        Some((_, data)) => stranger::against(data, true),
        None => {}
    }
}
