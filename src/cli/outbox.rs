//! `till outbox`: what stands in the books, whether they are whole, and what to do when they are not.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::{CliError, Exit};
use crate::config::Config;
use crate::outbox::scan::{Finding, Seen, Summary, scan};
use crate::outbox::{LogError, LogErrorKind, StdFs, StdLook, repair};
use crate::port::entry::{Book, Entry};
use crate::runtime::{control, parts};

/// The books on disk: what was said to the POS and what the POS said. All but `repair` only look, also
/// beside the running daemon.
#[derive(Debug, Args)]
pub struct OutboxArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till outbox` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print the records of a log, and which of them the POS has
    List(ListArgs),
    /// Check every byte: checksums, numbers, an interrupted write at the end apart from damage. Ends with 6
    /// when something is damaged or missing
    Verify(VerifyArgs),
    /// Print what tells of money, from all that is whole: how sales ended and what was paid
    Export(ExportArgs),
    /// Go on without what is damaged; the daemon must be stopped
    Repair(RepairArgs),
}

/// Which books.
#[derive(Debug, Args)]
pub struct Place {
    /// The state folder of a counter (outbox, inbox) or of a reference POS (out, in); by default the
    /// configuration's
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The configuration that names the state folder
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
}

/// One of the two logs of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// What this end sends
    Outbox,
    /// What this end received
    Inbox,
}

/// Arguments of `till outbox list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Where the books are
    #[command(flatten)]
    pub place: Place,
    /// Which log
    #[arg(long, value_enum, default_value = "outbox")]
    pub log: Which,
    /// Only the last records
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// The daemon's control socket, which knows what the POS has
    #[arg(long, value_name = "SOCKET", default_value = "/run/till/ctl.sock")]
    pub control: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till outbox verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Where the books are
    #[command(flatten)]
    pub place: Place,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How `till outbox export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, goods included
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// Arguments of `till outbox export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Where the books are
    #[command(flatten)]
    pub place: Place,
    /// How to write it
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: Format,
    /// Every record, offers and questions too
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `till outbox repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Where the books are
    #[command(flatten)]
    pub place: Place,
    /// Yes, go on without the damaged records: their numbers stay, as empty records, and the damaged segment is
    /// kept beside the log
    #[arg(long)]
    pub skip_damaged: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl From<LogError> for CliError {
    fn from(error: LogError) -> Self {
        let exit = if error.kind == LogErrorKind::Corrupt { Exit::Findings } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

/// Runs the command.
///
/// # Errors
/// When the books can't be read.
pub fn run(args: &OutboxArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.action {
        Action::List(args) => list(args, out),
        Action::Verify(args) => verify(args, out),
        Action::Export(args) => export(args, out),
        Action::Repair(args) => repair(args, out),
    }
}

/// The state folder and its books.
fn books(place: &Place) -> Result<(PathBuf, [Book; 2]), CliError> {
    let folder = match &place.state {
        Some(folder) => folder.clone(),
        None if place.config.exists() => super::run::load(&place.config)?.counter.state_dir,
        None => PathBuf::from("/var/lib/till"),
    };
    for books in [[Book::TillOutbox, Book::TillInbox], [Book::PosOutbox, Book::PosInbox]] {
        if books.iter().any(|book| folder.join(book.folder()).is_dir()) {
            return Ok((folder, books));
        }
    }
    let message = format!(
        "{} holds no books (neither outbox and inbox of a counter, nor out and in of a POS); name the folder with --state",
        folder.display()
    );
    Err(CliError::new(Exit::Missing, message))
}

fn look(folder: &Path, book: Book) -> Option<StdLook> {
    let folder = folder.join(book.folder());
    folder.is_dir().then(|| StdLook::new(&folder))
}

/// How much of the log of `epoch` the POS has, if the daemon that owns it answers.
fn acknowledged(control: &Path, epoch: u32) -> Option<u32> {
    let (status, _) = control::ask_status(control).ok()?;
    (status.outbox.epoch == epoch).then(|| status.outbox.last.saturating_sub(status.outbox.unacknowledged))
}

fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (folder, books) = books(&args.place)?;
    let book = books[usize::from(args.log == Which::Inbox)];
    let look = look(&folder, book)
        .ok_or_else(|| CliError::new(Exit::Missing, format!("{} has no {}", folder.display(), book.folder())))?;
    let socket = match Config::load(&args.place.config) {
        Ok(config) if args.place.state.is_none() => config.counter.control,
        _ => args.control.clone(),
    };
    let mut writer = Lister { out, json: args.json, known: None, count: 0, failed: None };
    writer.begin()?;
    let keep = args.last.unwrap_or(0);
    let mut tail: VecDeque<Entry> = VecDeque::new();
    let mut findings = Vec::new();
    let summary = scan(&look, &mut |seen| match seen {
        Seen::Record(record) => {
            if writer.known.is_none() {
                let known = if book == Book::TillOutbox { acknowledged(&socket, record.epoch) } else { None };
                writer.known = Some(known);
            }
            let entry = Entry::read(book, record.epoch, record.sequence, record.payload);
            if args.last.is_none() {
                writer.entry(&entry);
            } else {
                tail.push_back(entry);
                if tail.len() > keep {
                    tail.pop_front();
                }
            }
        }
        Seen::Finding(finding) => findings.push(finding.clone()),
        Seen::Segment { .. } => {}
    })?;
    tail.iter().for_each(|entry| writer.entry(entry));
    writer.end(&summary, &findings)?;
    for finding in &findings {
        eprintln!("till: {}/{finding}", folder.join(book.folder()).display());
    }
    Ok(if summary.findings > 0 { Exit::Findings } else { Exit::Ok })
}

/// Writes records as they come.
struct Lister<'o> {
    out: &'o mut dyn Write,
    json: bool,
    /// What the POS has: not asked yet, or not known, or up to here.
    known: Option<Option<u32>>,
    count: u64,
    failed: Option<std::io::Error>,
}

impl Lister<'_> {
    fn begin(&mut self) -> std::io::Result<()> {
        if self.json {
            write!(self.out, "{{\"schema\":\"till.outbox/1\",\"records\":[")
        } else {
            writeln!(
                self.out,
                "{:<8}  {:>8}  {:<5}  {:<9}  {:<20}  {:>12}  detail",
                "epoch", "sequence", "acked", "kind", "sale", "total"
            )
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let acknowledged = self.known.flatten().map(|until| entry.sequence <= until);
        let written = if self.json {
            let comma = if self.count > 0 { "," } else { "" };
            let mut object = json!(entry);
            object["acknowledged"] = json!(acknowledged);
            write!(self.out, "{comma}\n{object}")
        } else {
            writeln!(
                self.out,
                "{:08x}  {:>8}  {:<5}  {:<9}  {:<20}  {:>12}  {}",
                entry.epoch,
                entry.sequence,
                acknowledged.map_or("?", |yes| if yes { "yes" } else { "no" }),
                entry.kind,
                entry.sale.as_deref().unwrap_or("-"),
                entry.total_minor.map_or("-".into(), |total| total.to_string()),
                entry.detail.as_deref().unwrap_or("")
            )
        };
        self.count += 1;
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    fn end(&mut self, summary: &Summary, findings: &[Finding]) -> std::io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.json {
            let findings: Vec<_> = findings.iter().map(finding_json).collect();
            let epoch = summary.epoch.unwrap_or_default();
            write!(self.out, "\n],\"epoch\":{epoch},\"last\":{},\"bytes\":{}", summary.last, summary.bytes)?;
            writeln!(self.out, ",\"findings\":{}}}", json!(findings))?;
        }
        Ok(())
    }
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({
        "kind": finding.kind.as_str(),
        "harmless": finding.harmless(),
        "file": finding.file,
        "offset": finding.offset,
        "bytes": finding.bytes,
        "message": finding.message,
    })
}

fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (folder, books) = books(&args.place)?;
    let mut logs = Vec::new();
    let mut exit = Exit::Ok;
    for book in books {
        let Some(look) = look(&folder, book) else { continue };
        let mut findings = Vec::new();
        let summary = scan(&look, &mut |seen| {
            if let Seen::Finding(finding) = seen {
                findings.push(finding.clone());
            }
        })?;
        if summary.findings > 0 {
            exit = Exit::Findings;
        }
        if args.json {
            let findings: Vec<_> = findings.iter().map(finding_json).collect();
            logs.push(json!({
                "log": book.folder(), "epoch": summary.epoch, "segments": summary.segments,
                "records": summary.records, "first": summary.first, "last": summary.last,
                "bytes": summary.bytes, "skipped": summary.skipped, "findings": findings,
            }));
        } else {
            print_verified(book, &summary, &findings, out)?;
        }
    }
    if args.json {
        writeln!(out, "{}", json!({ "schema": "till.outbox/1", "ok": exit == Exit::Ok, "logs": logs }))?;
    } else if exit == Exit::Findings {
        writeln!(out, "The daemon does not start over damage. `till outbox export` saves what is whole;")?;
        writeln!(out, "`till outbox repair --skip-damaged` goes on without the rest.")?;
    }
    Ok(exit)
}

fn print_verified(book: Book, summary: &Summary, findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    let verdict = match (summary.findings, summary.torn_tails) {
        (0, 0) => "whole".to_owned(),
        (0, _) => "whole; an interrupted write at the end, which the daemon cuts off".to_owned(),
        (1, _) => "1 FINDING".to_owned(),
        (n, _) => format!("{n} FINDINGS"),
    };
    let epoch = summary.epoch.map_or("unknown".into(), |epoch| format!("{epoch:08x}"));
    writeln!(
        out,
        "{:<7} {} records ({} to {}) of epoch {epoch} in {} segments, {} bytes: {verdict}",
        book.folder(),
        summary.records,
        summary.first,
        summary.last,
        summary.segments,
        summary.bytes
    )?;
    if summary.skipped > 0 {
        writeln!(out, "        {} records are empty: an earlier repair skipped them", summary.skipped)?;
    }
    for finding in findings {
        writeln!(out, "        {finding}")?;
    }
    Ok(())
}

fn export(args: &ExportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (folder, books) = books(&args.place)?;
    let mut exit = Exit::Ok;
    let mut failed: Option<std::io::Error> = None;
    if args.format == Format::Csv {
        writeln!(out, "log,epoch,sequence,kind,sale,revision,detail,total_minor,currency,goods")?;
    }
    for book in books {
        let Some(look) = look(&folder, book) else { continue };
        let summary = scan(&look, &mut |seen| match seen {
            Seen::Record(record) => {
                let entry = Entry::read(book, record.epoch, record.sequence, record.payload);
                if args.all || entry.is_money() {
                    let written = match args.format {
                        Format::Jsonl => writeln!(out, "{}", json!(entry)),
                        Format::Csv => csv_line(&entry, out),
                    };
                    if let Err(error) = written {
                        failed.get_or_insert(error);
                    }
                }
            }
            Seen::Finding(finding) => eprintln!("till: {}/{finding}", folder.join(book.folder()).display()),
            Seen::Segment { .. } => {}
        })?;
        if summary.findings > 0 {
            exit = Exit::Findings;
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

fn csv_line(entry: &Entry, out: &mut dyn Write) -> std::io::Result<()> {
    let goods: Vec<String> = entry
        .cart
        .iter()
        .flat_map(|cart| &cart.lines)
        .map(|line| format!("{} {} x {}", line.quantity, line.sku, line.unit_minor))
        .collect();
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        entry.log,
        &format!("{:08x}", entry.epoch),
        &entry.sequence.to_string(),
        entry.kind,
        entry.sale.as_deref().unwrap_or_default(),
        &entry.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        entry.detail.as_deref().or(entry.hex.as_deref()).unwrap_or_default(),
        &entry.total_minor.map(|total| total.to_string()).unwrap_or_default(),
        entry.currency.as_deref().unwrap_or_default(),
        &goods.join("; "),
    ])?;
    writer.flush()
}

fn repair(args: &RepairArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (folder, books) = books(&args.place)?;
    if !args.skip_damaged {
        let message = "repair changes the books: look with till outbox verify, save what is whole with till outbox export, \
                       then say --skip-damaged";
        return Err(CliError::new(Exit::Usage, message));
    }
    let mut logs = Vec::new();
    for book in books {
        let path = folder.join(book.folder());
        if !path.is_dir() {
            continue;
        }
        let mut fs = StdFs::open(&path).map_err(|error| LogError::io(path.display().to_string(), &error))?;
        let repaired = repair::repair(&mut fs, parts::draw())?;
        if args.json {
            logs.push(json!({
                "log": book.folder(), "skipped": repaired.skipped, "kept": repaired.kept, "new_epoch": repaired.new_epoch,
            }));
            continue;
        }
        if repaired.kept.is_empty() {
            writeln!(out, "{:<7} nothing to do", book.folder())?;
        } else {
            let numbers: Vec<String> = repaired.skipped.iter().map(u32::to_string).collect();
            let numbers = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
            writeln!(out, "{:<7} records skipped: {numbers}", book.folder())?;
            for kept in &repaired.kept {
                writeln!(out, "        as it was: {}", path.join(kept).display())?;
            }
        }
        if repaired.new_epoch {
            writeln!(out, "        no segment told the epoch: a new one was begun, all records are sent again")?;
        }
    }
    if args.json {
        writeln!(out, "{}", json!({ "schema": "till.outbox/1", "logs": logs }))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests;
