//! The network, which a counter does not need.

use super::{Seen, Site, ok, skipped, warn};

/// Whoever reaches the box from outside should be a technician: a port that anybody may open is told.
pub(super) fn not_needed(site: &Site) -> Seen {
    let Some(text) = site.tree.text("/proc/net/tcp") else { return skipped("/proc/net/tcp can't be read") };
    let mut open: Vec<u16> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, _, state) = (words.next()?, words.next()?, words.next()?);
            let (address, port) = local.split_once(':')?;
            // State 0A is LISTEN; 7F in the last byte is the loopback, written in host order.
            let outside = state == "0A" && !address.ends_with("7F");
            outside.then(|| u16::from_str_radix(port, 16).ok()).flatten()
        })
        .collect();
    open.sort_unstable();
    open.dedup();
    let others: Vec<String> = open.iter().filter(|port| **port != 22).map(u16::to_string).collect();
    if others.is_empty() {
        ok("nothing but SSH listens")
    } else {
        warn(
            format!("ports {} listen to everybody", others.join(", ")),
            "sudo ss -ltnp tells who; stop what the counter does not need",
        )
    }
}
