//! The vault's people as the counter needs them: one gallery of today's network, who stands behind each number, and on
//! which day they were here last. Everything in it is in memory only.

use std::collections::BTreeMap;

use crate::gallery::{Gallery, Precision};

use super::vault::{Record, Vault, VaultError};

/// Seconds of a day.
const DAY_S: u64 = 86_400;
/// Vectors of most people: one of each pose of an enrolment.
const TEMPLATES: usize = 4;
/// A month of a retention rule, in days.
const MONTH_DAYS: u32 = 30;

/// Who a number is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The shop's own id.
    pub id: String,
    /// What to call the person, where that is wanted.
    pub name: Option<String>,
}

/// Everybody who can be recognised.
pub struct Members {
    /// To be searched; its ids are the vault's numbers.
    pub gallery: Gallery,
    /// Numbers of those who were enrolled with another network: they are not known until they enrol again.
    pub again: Vec<u32>,
    /// Numbers of those whose records can't be opened.
    pub damaged: Vec<u32>,
    people: BTreeMap<u32, Member>,
    /// Days of the last visits that are known, and those of them that are not in the vault yet.
    days: BTreeMap<u32, u32>,
    used: BTreeMap<u32, u32>,
}

/// Says how many there are, not who.
impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Members({} people)", self.people.len())
    }
}

impl Members {
    /// The people of `vault` who were enrolled with the network of this hash, whose vectors have `dimensions` values.
    pub fn load(vault: &Vault, network: &str, dimensions: usize, precision: Precision) -> Self {
        let mut gallery = Gallery::new(vault.network_name(network), dimensions, precision);
        if let Some(projection) = vault.projection(dimensions) {
            gallery = gallery.turned_by(projection);
        }
        gallery.reserve(vault.len() * TEMPLATES);
        let (again, damaged, people) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (days, used) = (BTreeMap::new(), BTreeMap::new());
        let mut members = Self { gallery, again, damaged, people, days, used };
        for person in vault.people() {
            members.days.extend(person.used_day.map(|day| (person.number, day)));
            match &person.record {
                Ok(record) => members.take(person.number, record),
                Err(_) => members.damaged.push(person.number),
            }
        }
        members
    }

    fn take(&mut self, number: u32, record: &Record) {
        let before = self.gallery.len();
        for template in &record.templates {
            // A vector of another network is refused by the gallery itself.
            let _ = self.gallery.push(&template.network, number, &template.vector);
        }
        if self.gallery.len() == before {
            self.again.push(number);
        } else {
            self.people.insert(number, Member { id: record.id.clone(), name: record.name.clone() });
        }
    }

    /// People who can be recognised.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody can be.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Who `number` is.
    pub fn who(&self, number: u32) -> Option<&Member> {
        self.people.get(&number)
    }

    /// Notes that `number` was recognised, at `unix_s` seconds since 1970; a clock that is not set notes nothing. Only
    /// the day is kept, in memory until [`Members::save`]; a second visit on a day is nothing new.
    pub fn note_used(&mut self, number: u32, unix_s: Option<u64>) {
        let known = self.days.get(&number).copied();
        let today = unix_s.map(day).filter(|_| self.people.contains_key(&number));
        if let Some(day) = today.filter(|day| known.is_none_or(|known| known < *day)) {
            self.days.insert(number, day);
            self.used.insert(number, day);
        }
    }

    /// Whether there is a day that is not in the vault yet.
    pub fn is_unsaved(&self) -> bool {
        !self.used.is_empty()
    }

    /// Writes the noted days into the vault, all at once.
    ///
    /// # Errors
    /// What the vault said; the days are kept for the next time.
    pub fn save(&mut self, vault: &mut Vault) -> Result<(), VaultError> {
        let days: Vec<(u32, u32)> = self.used.iter().map(|(number, day)| (*number, *day)).collect();
        vault.note_used(&days)?;
        self.used.clear();
        Ok(())
    }
}

/// The day of a time, both since 1970.
pub fn day(unix_s: u64) -> u32 {
    u32::try_from(unix_s / DAY_S).unwrap_or(u32::MAX)
}

/// What a retention rule finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Numbers and ids of those who were not here for longer than the rule allows.
    pub due: Vec<(u32, String)>,
    /// Those of whom neither the day of enrolment nor of a visit is known: the rule can't reach them.
    pub undated: Vec<(u32, String)>,
}

/// Who is due at `unix_s`: last recognised, or else enrolled, more than `months` times 30 days ago.
pub fn expiry(vault: &Vault, months: u32, unix_s: u64) -> Expiry {
    let mut found = Expiry::default();
    let today = day(unix_s);
    for person in vault.people() {
        let Ok(record) = &person.record else { continue };
        let who = (person.number, record.id.clone());
        match person.used_day.max(record.created_s.map(day)) {
            Some(last) if today.saturating_sub(last) > months.saturating_mul(MONTH_DAYS) => found.due.push(who),
            Some(_) => {}
            None => found.undated.push(who),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fault::FaultDisk;
    use crate::people::vault::{Consent, Facing, KeySource, Method, Template};

    const NOW_S: u64 = 1_790_000_000;

    fn vault(people: &[(&str, &str, Option<u64>)]) -> Vault {
        let mut vault = Vault::init(FaultDisk::default().fs(), &KeySource::Own).unwrap();
        for (i, (id, network, created_s)) in people.iter().enumerate() {
            let vector = vec![(i as f32).cos(), (i as f32).sin()];
            let template = Template { network: network.repeat(32), facing: Facing::Front, vector };
            let consent = Consent { version: "1".into(), text_sha256: None, at_s: None, method: Method::Staff };
            let (id, templates) = ((*id).to_owned(), vec![template]);
            vault.put(&Record { id, name: None, created_s: *created_s, consent, templates }, false).unwrap();
        }
        vault
    }

    #[test]
    fn a_gallery_holds_those_of_todays_network_and_names_the_others() {
        let mut vault = vault(&[("anna", "ab", None), ("ben", "cd", None), ("carl", "ab", None)]);
        let mut members = Members::load(&vault, &"ab".repeat(32), 2, Precision::F32);
        assert_eq!((members.len(), members.gallery.len()), (2, 2));
        assert_eq!((members.again.as_slice(), members.damaged.as_slice()), (&[2][..], &[][..]));
        let found = members.gallery.search(&[1.0, 0.0]).unwrap().best.unwrap();
        assert_eq!(members.who(found.id).unwrap().id, "anna");
        assert_eq!(members.who(2), None);
        members.note_used(1, Some(NOW_S));
        members.note_used(2, Some(NOW_S));
        members.note_used(3, None);
        members.save(&mut vault).unwrap();
        let days: Vec<_> = vault.people().map(|p| p.used_day).collect();
        assert_eq!(days, [Some(day(NOW_S)), None, None], "an unset clock notes nothing");
        for mut members in [members, Members::load(&vault, &"ab".repeat(32), 2, Precision::F32)] {
            members.note_used(1, Some(NOW_S + 1));
            assert!(!members.is_unsaved(), "a second visit on that day");
            members.note_used(1, Some(NOW_S + DAY_S));
            assert!(members.is_unsaved());
        }
        assert_eq!(Members::load(&vault, &"ab".repeat(32), 3, Precision::F16).again, [1, 2, 3], "another size");
    }

    #[test]
    fn who_was_not_here_for_too_long_is_due_and_who_has_no_date_is_told() {
        let ago = |days: u64| Some(NOW_S - days * DAY_S);
        let mut vault = vault(&[("old", "ab", ago(361)), ("new", "ab", ago(360)), ("when", "ab", None)]);
        let ids = |e: Vec<(u32, String)>| e.into_iter().map(|p| p.1).collect::<Vec<_>>();
        let found = expiry(&vault, 12, NOW_S);
        assert_eq!((ids(found.due), ids(found.undated)), (vec!["old".to_owned()], vec!["when".to_owned()]));
        vault.note_used(&[(1, day(NOW_S) - 3), (3, day(NOW_S) - 400)]).unwrap();
        let found = expiry(&vault, 12, NOW_S);
        assert_eq!((ids(found.due), found.undated.len()), (vec!["when".to_owned()], 0), "a visit counts");
        assert!(expiry(&vault, u32::MAX, NOW_S).due.is_empty());
        assert!(expiry(&vault, 1, 0).due.is_empty(), "a clock at 1970 ends nobody");
    }
}
