//! Roles: whether each name below /dev/till leads to its device, and to no other one.

use super::{Seen, Site, fail, ok, skipped};
use crate::machine::devices::{Candidate, candidates};
use crate::machine::roles::{self, Rule};

/// Each rule with what is plugged in and fits it.
fn rules(site: &Site) -> Vec<(Rule, Vec<Candidate>)> {
    let all = candidates(&site.tree);
    let fit = |rule: &Rule| all.iter().filter(|candidate| rule.matches(candidate)).cloned().collect();
    let rules = roles::read(&site.tree.text(roles::RULES).unwrap_or_default());
    rules.into_iter().map(|rule| (rule.clone(), fit(&rule))).collect()
}

pub(super) fn links(site: &Site) -> Seen {
    let rules = rules(site);
    if rules.is_empty() {
        return skipped("no device has a role: sudo till devices assign");
    }
    let mut told = Vec::new();
    for (rule, fit) in &rules {
        let link = rule.role.link();
        match (site.tree.link(&link), fit.first()) {
            (Some(node), Some(device)) if node.to_str() != Some(&device.node()) && fit.len() == 1 => {
                return fail(
                    format!("{} leads to {} and not to {device}", link.display(), node.display()),
                    "sudo udevadm control --reload && sudo udevadm trigger",
                );
            }
            (Some(node), _) if site.tree.exists(&node) => told.push(format!("{} {}", rule.role, node.display())),
            (_, Some(device)) => {
                return fail(
                    format!("{} is missing, though {device} is there", link.display()),
                    "sudo udevadm control --reload && sudo udevadm trigger",
                );
            }
            (_, None) => {
                return fail(
                    format!("{} is missing: its device is known {}", link.display(), rule.known_by),
                    "plug it in, or sudo till devices assign where another one took its place",
                );
            }
        }
    }
    ok(told.join(", "))
}

pub(super) fn unambiguous(site: &Site) -> Seen {
    let rules = rules(site);
    if rules.is_empty() {
        return skipped("no device has a role: sudo till devices assign");
    }
    for (rule, fit) in &rules {
        if let [first, second, ..] = fit.as_slice() {
            return fail(
                format!("{} could be {first} or {second}", rule.role),
                "sudo till devices assign tells them apart by their sockets",
            );
        }
    }
    ok(format!("{} roles, each with one device", rules.len()))
}
