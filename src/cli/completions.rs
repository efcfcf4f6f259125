//! `till completions SHELL`: what the shell needs to complete till's commands and options.

use std::io::Write;

use clap_complete::{Shell, generate};

use super::{CliError, Exit};

/// Arguments of `till completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the completions of `command`.
pub fn run(args: &Args, mut command: clap::Command, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut text = Vec::new();
    generate(args.shell, &mut command, "till", &mut text);
    out.write_all(&text)?;
    Ok(Exit::Ok)
}
