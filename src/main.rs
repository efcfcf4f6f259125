//! Arguments, dispatch, the error and the exit code; nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match till::cli::dispatch(till::cli::Cli::parse(), &mut std::io::stdout()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("till: {error}");
            error.exit.into()
        }
    }
}
