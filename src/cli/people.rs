//! `till people`: the members' side of the counter, for the technician.

pub mod enrol;
pub mod manage;
#[cfg(test)]
mod tests;
pub mod tune;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::{CliError, Exit};
use super::faces::FaceEngines;
use manage::{Place, Whom};

/// Members: who they are, and how sure one must be. All but `tune` and `init` need the vault for themselves for as long
/// as they take
#[derive(Args, Clone, Debug)]
pub struct PeopleArgs {
    /// What to do
    #[command(subcommand)]
    pub command: PeopleCommand,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum PeopleCommand {
    /// Make the vault, and its device key if none is given
    Init(PlaceArgs),
    /// Enrol a person: four poses, consent, nothing written until all is there
    Enrol(enrol::EnrolArgs),
    /// Say who is before the face camera, or that it is nobody who is enrolled
    Recognise(enrol::RecogniseArgs),
    /// Print everybody by id, and who must enrol again
    List(LookArgs),
    /// Print what is kept of one person, without the face's vectors
    Show(WhomArgs),
    /// Write a person's own data to a new file that only its owner can read
    Export(ExportArgs),
    /// End one person: the key is overwritten, then the record
    Delete(WhomArgs),
    /// Delete everybody who was not here for a number of months of 30 days
    Expire(ExpireArgs),
    /// Open every record and say what is damaged. Ends with 6 when something is
    Verify(LookArgs),
    /// Exchange the device key; the old one is overwritten
    RotateKey(RotateArgs),
    /// Turn the templates by a new secret of the vault, so that a copy of them is of no use elsewhere
    Protect(PlaceArgs),
    /// Print the thresholds that follow from the measured false matches; with --images, measure them anew
    Tune(tune::TuneArgs),
}

/// Arguments of a command about the whole vault.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of a command that compares with today's network.
#[derive(Args, Clone, Debug)]
pub struct LookArgs {
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// The face embedder's folder [default: engines/face-mobilefacenet, here or in /var/lib/till]
    #[arg(long, value_name = "DIR")]
    pub embedder: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl LookArgs {
    fn embedder(&self) -> PathBuf {
        FaceEngines::embedder_or_usual(self.embedder.as_deref())
    }
}

/// Arguments of a command about one person.
#[derive(Args, Clone, Debug)]
pub struct WhomArgs {
    /// Who
    #[command(flatten)]
    pub whom: Whom,
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till people export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Who
    #[command(flatten)]
    pub whom: Whom,
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// The file; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The face's vectors, too: whoever has them can recognise the person with this network
    #[arg(long)]
    pub with_embeddings: bool,
}

/// Arguments of `till people expire`.
#[derive(Args, Clone, Debug)]
pub struct ExpireArgs {
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// Months of 30 days; by default the configuration's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1200))]
    pub months: Option<u32>,
    /// Only print who is due
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till people rotate-key`.
#[derive(Args, Clone, Debug)]
pub struct RotateArgs {
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// The new key, 32 bytes, where the device key is not the vault's own
    #[arg(long, value_name = "FILE")]
    pub new_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// The command's own.
pub fn run(args: &PeopleArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.command {
        PeopleCommand::Init(a) => manage::init(&a.place, a.json, out),
        PeopleCommand::Enrol(a) => enrol::enrol(a, out),
        PeopleCommand::Recognise(a) => enrol::recognise(a, out),
        PeopleCommand::List(a) => manage::list(&a.place, &a.embedder(), a.json, out),
        PeopleCommand::Show(a) => manage::show(&a.place, &a.whom, a.json, out),
        PeopleCommand::Export(a) => manage::export(&a.place, &a.whom, &a.output, a.with_embeddings, out),
        PeopleCommand::Delete(a) => manage::delete(&a.place, &a.whom, a.json, out),
        PeopleCommand::Expire(a) => manage::expire(&a.place, a.months, a.dry_run, a.json, out),
        PeopleCommand::Verify(a) => manage::verify(&a.place, &a.embedder(), a.json, out),
        PeopleCommand::RotateKey(a) => manage::rotate(&a.place, a.new_key.as_deref(), a.json, out),
        PeopleCommand::Protect(a) => manage::protect(&a.place, a.json, out),
        PeopleCommand::Tune(a) => tune::run(a, out),
    }
}
