//! `till run`: the daemon.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, Exit};
use crate::config::Config;
use crate::machine::Tree;
use crate::people::vault::harden;
use crate::runtime::supervisor::{SignalPost, supervise};
use crate::runtime::{Live, RuntimeError, RuntimeErrorKind, logger, parts};

/// Runs the counter until SIGTERM. SIGHUP reloads the catalogue and the log level.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration; files in conf.d beside it are added to it
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Read the board's sensors of heat and supply below DIR: a recorded tree instead of this board
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

impl From<RuntimeError> for CliError {
    fn from(error: RuntimeError) -> Self {
        let exit = match error.kind {
            RuntimeErrorKind::Config | RuntimeErrorKind::Engine => Exit::Config,
            RuntimeErrorKind::Device | RuntimeErrorKind::Footage => Exit::Missing,
            RuntimeErrorKind::Unreachable => Exit::Unreachable,
            RuntimeErrorKind::Control
            | RuntimeErrorKind::SecondDaemon
            | RuntimeErrorKind::Storage
            | RuntimeErrorKind::Thread => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

/// Reads the configuration at `file`.
pub fn load(file: &std::path::Path) -> Result<Config, CliError> {
    Config::load(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))
}

/// Runs the command.
///
/// # Errors
/// What keeps the daemon from starting; once it runs it mends itself.
pub fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let config = load(&args.config)?;
    logger::install(config.log.level);
    // Signals are taken over first: one that comes while an engine is loaded must end us cleanly too.
    let signals = SignalPost::install()?;
    if config.face.is_some() {
        // Members are on: what is in memory stays there.
        harden()?;
    }
    let live = Live::start_on(&config, Tree::new(&args.root))?;
    log::info!("till {} is ready", env!("CARGO_PKG_VERSION"));
    supervise(&live, &signals, &mut || match load(&args.config) {
        Ok(fresh) => {
            log::set_max_level(fresh.log.level);
            match parts::catalogue(&fresh) {
                Ok(catalogue) => live.set_catalogue(catalogue),
                Err(error) => log::error!("reload: {error}; the old catalogue stays"),
            }
            log::info!("reload: log level and catalogue taken; everything else needs a restart");
        }
        Err(error) => log::error!("reload: {error}; everything stays as it was"),
    });
    live.stop();
    Ok(Exit::Ok)
}
