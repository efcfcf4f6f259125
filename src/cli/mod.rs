//! The command line: one file a command, each with its clap `Args` and a `run`. Data goes to stdout, talk
//! to stderr, and the exit code says what kind of end it was.

use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

pub mod bench;
pub mod catalogue;
pub mod completions;
pub mod config;
pub mod engine;
pub mod eval_tray;
pub mod exit;
pub mod picture;
pub mod report_tray;
pub mod run;
pub mod status;

pub use exit::{CliError, Exit};

/// Unattended checkout: two cameras, a scale and a serial line in, acknowledged receipts out.
#[derive(Debug, Parser)]
#[command(name = "till", version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the counter: the daemon
    Run(run::RunArgs),
    /// Ask the running daemon how it is
    Status(status::StatusArgs),
    /// Measure a detector in carts and in mAP
    Eval {
        /// What to measure
        #[command(subcommand)]
        what: Eval,
    },
    /// List, check and time engines
    Engine(engine::EngineArgs),
    /// Time the counter's own work beside the raw engine's
    Bench(bench::BenchArgs),
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// Carts and boxes of a tray detector on pictures with COCO annotations
    Tray(eval_tray::EvalTrayArgs),
}

/// The clap command, for help texts and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs what the command line says; data goes to `out`.
///
/// # Errors
/// The command's own, with the exit code in it.
pub fn dispatch(cli: Cli, out: &mut dyn Write) -> Result<Exit, CliError> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Status(args) => status::run(&args, out),
        Command::Eval { what: Eval::Tray(args) } => eval_tray::run(&args, out),
        Command::Engine(args) => engine::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
    }
}
