//! `till people init, list, show, export, delete, expire, verify, rotate-key`: the vault from the command line.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::engine::Manifest;
use crate::people::Policy;
use crate::people::members::{day, expiry};
use crate::people::vault::{KeySource, Person, Record, Vault, VaultError, VaultErrorKind, harden, key};
use crate::runtime::clock::{utc, utc_day, wall_s};

/// Where the members are.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The state folder of the counter, in which people/ lies; by default the configuration's
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// The device key, 32 bytes, if it is not the vault's own; by default the configuration's
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// What the command line and the configuration say together.
pub struct Settings {
    /// The vault's folder.
    pub folder: PathBuf,
    /// Its device key.
    pub key: KeySource,
    /// `[people]`.
    pub people: crate::config::People,
}

impl Place {
    /// Folder, key and the configuration's `[people]`.
    ///
    /// # Errors
    /// A configuration that is there and wrong.
    pub fn settings(&self) -> Result<Settings, CliError> {
        let config = if self.config.exists() { Some(super::super::run::load(&self.config)?) } else { None };
        let state = self.state.clone().or_else(|| config.as_ref().map(|c| c.counter.state_dir.clone()));
        let people = config.map(|c| c.people).unwrap_or_default();
        let file = self.key_file.clone().or_else(|| people.key_file.clone());
        Ok(Settings {
            folder: state.unwrap_or_else(|| PathBuf::from("/var/lib/till")).join("people"),
            key: file.map_or(KeySource::Own, KeySource::File),
            people,
        })
    }

    /// How sure one must be: at the target that was named, or else the configuration's.
    ///
    /// # Errors
    /// A target that is no share (exit code 2); a configuration that is there and wrong.
    pub fn policy(&self, named: Option<f64>) -> Result<Policy, CliError> {
        let target_fpir = match named {
            Some(share) => share,
            None => self.settings()?.people.target_fpir(),
        };
        match target_fpir > 0.0 && target_fpir < 1.0 {
            true => Ok(Policy { target_fpir, ..Policy::default() }),
            false => Err(CliError::new(Exit::Usage, format!("--target-fpir {target_fpir}: above 0, below 1"))),
        }
    }

    /// The open vault.
    ///
    /// # Errors
    /// None there, busy, or what the key has against it.
    pub fn open(&self) -> Result<Vault, CliError> {
        let settings = self.settings()?;
        harden()?;
        let vault = Vault::open_at(&settings.folder, &settings.key)?;
        vault.notes().iter().for_each(|note| eprintln!("till: members {}: {note}", vault.place()));
        Ok(vault)
    }
}

impl From<VaultError> for CliError {
    fn from(e: VaultError) -> Self {
        let exit = match e.kind {
            VaultErrorKind::Missing => Exit::Missing,
            VaultErrorKind::Key | VaultErrorKind::WrongKey => Exit::Config,
            VaultErrorKind::Tampered => Exit::Findings,
            _ => Exit::Failed,
        };
        Self::new(exit, e.to_string())
    }
}

/// Whom a command is about.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// The person's id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The person's number in the vault, where the record can't be read
    #[arg(long, value_name = "N")]
    pub number: Option<u32>,
}

impl Whom {
    fn of(&self, vault: &Vault) -> Result<Person, CliError> {
        match (&self.id, self.number) {
            (Some(id), _) => Ok(vault.find(id)?),
            (None, number) => {
                let found = vault.people().find(|p| Some(p.number) == number);
                found.ok_or_else(|| CliError::new(Exit::Failed, "nobody has this number; till people list shows all"))
            }
        }
    }
}

/// Makes the vault.
///
/// # Errors
/// One is there already, or its folder or key has something against it.
pub fn init(place: &Place, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let settings = place.settings()?;
    harden()?;
    let vault = Vault::init_at(&settings.folder, &settings.key)?;
    let own = settings.key == KeySource::Own;
    if json {
        let v = json!({ "schema": "till.people-init/1", "folder": vault.place(), "own_key": own });
        writeln!(out, "{v}")?;
    } else {
        writeln!(out, "made {}; nobody is in it yet", vault.place())?;
        if own {
            writeln!(out, "its device key lies beside it: keep the two apart in backups, or back up neither")?;
        }
    }
    Ok(Exit::Ok)
}

fn when(unix_s: Option<u64>) -> String {
    unix_s.map_or_else(|| "unknown, the clock was not set".to_owned(), utc)
}

/// A person without face and without secrets.
fn described(person: &Person, record: &Record) -> Value {
    let templates: Vec<Value> = record
        .templates
        .iter()
        .map(|t| json!({ "facing": t.facing, "network": t.network, "values": t.vector.len() }))
        .collect();
    json!({
        "id": record.id,
        "number": person.number,
        "name": record.name,
        "created": record.created_s.map(utc),
        "last_used": person.used_day.map(utc_day),
        "consent": {
            "version": record.consent.version,
            "text_sha256": record.consent.text_sha256,
            "time": record.consent.at_s.map(utc),
            "method": record.consent.method,
        },
        "templates": templates,
    })
}

/// The name under which `vault` keeps templates of the network that the counter uses, where its folder is there.
fn network(embedder: &Path, vault: &Vault) -> Option<String> {
    Manifest::load(embedder).ok().map(|manifest| vault.network_name(&manifest.sha256))
}

/// Whether the counter's network knows nothing of this person.
fn again(record: &Record, network: Option<&str>) -> bool {
    network.is_some_and(|network| record.templates.iter().all(|t| t.network != network))
}

/// Prints everybody, by id.
///
/// # Errors
/// As [`Place::open`].
pub fn list(place: &Place, embedder: &Path, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let vault = place.open()?;
    let network = network(embedder, &vault);
    let mut exit = Exit::Ok;
    let mut rows = Vec::new();
    for person in vault.people() {
        match &person.record {
            Ok(record) => {
                let again = again(record, network.as_deref());
                let mut row = described(&person, record);
                row["enrol_again"] = again.into();
                if !json {
                    let used = person.used_day.map_or("never".to_owned(), utc_day);
                    let note = if again { "; enrol again: the network is another one now" } else { "" };
                    let (id, n) = (&record.id, record.templates.len());
                    writeln!(out, "{id}  {n} templates, last here {used}{note}")?;
                }
                rows.push(row);
            }
            Err(error) => {
                eprintln!("till: {error}");
                rows.push(json!({ "number": person.number, "damaged": error.message }));
                exit = Exit::Findings;
            }
        }
    }
    if json {
        writeln!(out, "{}", json!({ "schema": "till.people-list/1", "people": rows }))?;
    } else {
        eprintln!("{} people", vault.len());
    }
    Ok(exit)
}

/// Prints one person.
///
/// # Errors
/// Nobody of this id, or a record that can't be opened.
pub fn show(place: &Place, whom: &Whom, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let vault = place.open()?;
    let person = whom.of(&vault)?;
    let record = person.record.as_ref().map_err(|e| e.clone())?;
    if json {
        let mut v = described(&person, record);
        v["schema"] = "till.people-show/1".into();
        writeln!(out, "{v}")?;
        return Ok(Exit::Ok);
    }
    writeln!(out, "id         {}", record.id)?;
    writeln!(out, "name       {}", record.name.as_deref().unwrap_or("none"))?;
    writeln!(out, "enrolled   {}", when(record.created_s))?;
    writeln!(out, "last here  {}", person.used_day.map_or("never".to_owned(), utc_day))?;
    let consent = &record.consent;
    writeln!(out, "consent    version {}, by {}, at {}", consent.version, consent.method.as_str(), when(consent.at_s))?;
    for t in &record.templates {
        let network = t.network.get(..12).unwrap_or_default();
        writeln!(out, "template   {}, {} values, network {network}", t.facing, t.vector.len())?;
    }
    Ok(Exit::Ok)
}

/// Writes a person's own data to a new file that only its owner can read.
///
/// # Errors
/// Nobody of this id, a record that can't be opened, a file that is there already.
pub fn export(
    place: &Place,
    whom: &Whom,
    to: &Path,
    with_embeddings: bool,
    out: &mut dyn Write,
) -> Result<Exit, CliError> {
    let vault = place.open()?;
    let person = whom.of(&vault)?;
    let record = person.record.as_ref().map_err(|e| e.clone())?;
    let mut v = described(&person, record);
    v["schema"] = "till.people-export/1".into();
    v["about"] = "Everything that the counter keeps of this person. Pictures are not kept.".into();
    if with_embeddings {
        v["about_embeddings"] = "Each vector stands for a face as the named network sees it. Whoever has it can \
                                 recognise the person with that network: keep this file as you would a password."
            .into();
        for (template, row) in record.templates.iter().zip(v["templates"].as_array_mut().into_iter().flatten()) {
            row["vector"] = json!(template.vector);
        }
    }
    let failed = |e: std::io::Error| CliError::new(Exit::Failed, format!("{}: {e}", to.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    file.write_all(format!("{v:#}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    writeln!(out, "written: {} (only you can read it)", to.display())?;
    if with_embeddings {
        eprintln!("it holds the face's vectors: give it to the person, and remove it here");
    }
    Ok(Exit::Ok)
}

/// Ends one person.
///
/// # Errors
/// Nobody of this id; old bytes that could not be overwritten.
pub fn delete(place: &Place, whom: &Whom, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut vault = place.open()?;
    let number = whom.of(&vault)?.number;
    vault.delete(&[number])?;
    if json {
        writeln!(out, "{}", json!({ "schema": "till.people-delete/1", "number": number, "left": vault.len() }))?;
    } else {
        writeln!(out, "deleted: the key is overwritten, the record is gone; {} people are left", vault.len())?;
    }
    eprintln!("a running daemon forgets the person at the next question to its face camera");
    Ok(Exit::Ok)
}

/// Ends everybody who was not here for so many months.
///
/// # Errors
/// A clock that is not set: nobody is ended by a wrong one.
pub fn expire(
    place: &Place,
    months: Option<u32>,
    dry_run: bool,
    json: bool,
    out: &mut dyn Write,
) -> Result<Exit, CliError> {
    let months = months.map_or_else(|| place.settings().map(|s| s.people.retention_months), Ok)?;
    let now = wall_s().ok_or_else(|| CliError::new(Exit::Degraded, "the clock is not set; nobody was deleted"))?;
    let mut vault = place.open()?;
    let found = expiry(&vault, months, now);
    if !dry_run {
        vault.delete(&found.due.iter().map(|p| p.0).collect::<Vec<_>>())?;
    }
    let ids = |of: &[(u32, String)]| of.iter().map(|p| p.1.clone()).collect::<Vec<_>>();
    let (due, undated) = (ids(&found.due), ids(&found.undated));
    if json {
        let v = json!({
            "schema": "till.people-expire/1",
            "today": utc_day(day(now)),
            "months": months,
            "deleted": !dry_run,
            "due": due,
            "undated": undated,
        });
        writeln!(out, "{v}")?;
        return Ok(Exit::Ok);
    }
    let word = if dry_run { "due" } else { "deleted" };
    due.iter().try_for_each(|id| writeln!(out, "{word}: {id}"))?;
    undated.iter().try_for_each(|id| writeln!(out, "undated: {id}"))?;
    eprintln!("{} not here for {months} months; {} without any date, which no rule reaches", due.len(), undated.len());
    Ok(Exit::Ok)
}

/// Opens every record; says what is damaged and who must enrol again.
///
/// # Errors
/// As [`Place::open`].
pub fn verify(place: &Place, embedder: &Path, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let vault = place.open()?;
    let network = network(embedder, &vault);
    let (mut damaged, mut again_ids) = (Vec::new(), Vec::new());
    for person in vault.people() {
        match &person.record {
            Ok(record) if again(record, network.as_deref()) => again_ids.push(record.id.clone()),
            Ok(_) => {}
            Err(error) => {
                eprintln!("till: {error}");
                damaged.push(person.number);
            }
        }
    }
    if json {
        let v = json!({
            "schema": "till.people-verify/1",
            "people": vault.len(),
            "generation": vault.generation(),
            "protected": vault.is_protected(),
            "network": network,
            "damaged": damaged,
            "enrol_again": again_ids,
            "notes": vault.notes(),
        });
        writeln!(out, "{v}")?;
    } else {
        let n = damaged.len();
        writeln!(out, "{} people, {n} damaged; generation {}", vault.len(), vault.generation())?;
        again_ids.iter().try_for_each(|id| writeln!(out, "enrol again: {id}, the network is another one now"))?;
        if network.is_none() {
            eprintln!("which network is in use is not known: {} is no engine", embedder.display());
        }
    }
    Ok(if damaged.is_empty() { Exit::Ok } else { Exit::Findings })
}

/// Turns all templates by a new secret of the vault.
///
/// # Errors
/// As [`Place::open`]; a record that can't be opened, or what the file system said.
pub fn protect(place: &Place, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut vault = place.open()?;
    let before = vault.is_protected();
    let people = vault.protect()?;
    if json {
        let v = json!({
            "schema": "till.people-protect/1", "people": people, "generation": vault.generation(),
            "protected_before": before,
        });
        writeln!(out, "{v}")?;
    } else {
        writeln!(out, "the templates of {people} people are turned by a new secret; nobody must enrol again")?;
        if before {
            writeln!(out, "what was copied of them before is of no use any more")?;
        }
    }
    Ok(Exit::Ok)
}

/// Exchanges the device key: the vault's own, or with `new_key` one that comes from elsewhere.
///
/// # Errors
/// As [`Place::open`]; a new key where the vault has its own, or none where it has not.
pub fn rotate(place: &Place, new_key: Option<&Path>, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let own = place.settings()?.key == KeySource::Own;
    let mut vault = place.open()?;
    match new_key {
        None => vault.rotate()?,
        Some(_) if own => {
            let message = "--new-key: the vault has its own key, which is exchanged without this option";
            return Err(CliError::new(Exit::Usage, message));
        }
        Some(file) => {
            vault.rewrap(key::load(file)?)?;
            eprintln!("now put {} in the place of the old key, and destroy that one", file.display());
        }
    }
    if json {
        let v =
            json!({ "schema": "till.people-rotate-key/1", "people": vault.len(), "generation": vault.generation() });
        writeln!(out, "{v}")?;
    } else {
        writeln!(out, "{} people are closed with the new key", vault.len())?;
    }
    Ok(Exit::Ok)
}
