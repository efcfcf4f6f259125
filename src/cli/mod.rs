//! The command line: one file a command, each with its clap `Args` and a `run`. Data goes to stdout, talk
//! to stderr, and the exit code says what kind of end it was.

use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

pub mod bench;
pub mod camera;
pub mod catalogue;
pub mod completions;
pub mod config;
pub mod curve_svg;
pub mod curve_tray;
pub mod demo;
pub mod devices;
mod devices_look;
pub mod doctor;
pub mod draw;
pub mod engine;
pub mod engine_bench;
pub mod engine_build;
#[cfg(feature = "tensorrt")]
mod engine_plan;
pub mod eval_carts;
pub mod eval_identify;
pub mod eval_liveness;
pub mod eval_tray;
pub mod eval_verify;
pub mod exit;
pub mod faces;
pub mod footage;
pub mod gpio;
pub mod link;
pub mod link_key;
pub mod outbox;
pub mod people;
pub mod picture;
pub mod pos;
pub mod replay;
pub mod report_tray;
pub mod run;
pub mod scale;
pub mod sim;
pub mod snap;
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
    /// Play the demo store through the whole counter and print each receipt
    Demo(demo::DemoArgs),
    /// Run the counter: the daemon
    Run(run::RunArgs),
    /// Ask the running daemon how it is
    Status(status::StatusArgs),
    /// Examine the box and say how to mend what is wrong
    Doctor(doctor::DoctorArgs),
    /// Show what the tray camera sees, or collect its pictures
    Snap(snap::SnapArgs),
    /// Cameras, serial ports and scales: list them, say who plays which role
    Devices(devices::DevicesArgs),
    /// The cameras of this machine: names, formats, controls
    Camera(camera::CameraArgs),
    /// The load cell: watch, tare, calibrate
    Scale(scale::ScaleArgs),
    /// The presence line: watch it move and bounce
    Gpio(gpio::GpioArgs),
    /// Run the reference POS at the other end of the serial line
    Pos(pos::PosArgs),
    /// Play recorded sessions in lock-step; the same input gives the same bytes
    Replay(replay::ReplayArgs),
    /// Measure what is recognised: products and faces
    Eval {
        /// What to measure
        #[command(subcommand)]
        what: Eval,
    },
    /// List, check, build and time engines
    Engine(engine::EngineArgs),
    /// Time the counter's own work beside the raw engine's
    Bench(bench::BenchArgs),
    /// The serial line to the POS: ping, loopback, conform
    Link(link::LinkArgs),
    /// The books on disk: list, verify, export, repair
    Outbox(outbox::OutboxArgs),
    /// Members: list, show, export, delete, expire, verify, keys; how sure one must be
    People(people::PeopleArgs),
    /// Simulate counters with everything that goes wrong
    Sim(sim::SimArgs),
    /// Check the configuration
    Config(config::Args),
    /// Check and import the catalogue
    Catalogue(catalogue::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// Carts and boxes of a tray detector on pictures with COCO annotations
    Tray(eval_tray::EvalTrayArgs),
    /// Whole sales at the demo store: carts laid down by seed, filmed, and played through the counter to receipts
    Carts(eval_carts::EvalCartsArgs),
    /// Pairs of faces: one person or two
    Verify(eval_verify::EvalVerifyArgs),
    /// Faces among members and strangers
    Identify(eval_identify::EvalIdentifyArgs),
    /// Living heads against prints, recordings and other heads
    Liveness(eval_liveness::EvalLivenessArgs),
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
        Command::Demo(args) => demo::run(&args, out),
        Command::Run(args) => run::run(&args),
        Command::Snap(args) => snap::run(&args, out),
        Command::Devices(args) => devices::run(&args, out),
        Command::Camera(args) => camera::run(&args, out),
        Command::Scale(args) => scale::run(&args, out),
        Command::Gpio(args) => gpio::run(&args, out),
        Command::Pos(args) => pos::run(&args, out),
        Command::Replay(args) => replay::run(&args, out),
        Command::Sim(args) => sim::run(&args, out),
        Command::Link(args) => link::run(&args, out),
        Command::Outbox(args) => outbox::run(&args, out),
        Command::Config(args) => config::run(&args, out),
        Command::Catalogue(args) => catalogue::run(&args, out),
        Command::Completions(args) => completions::run(&args, command(), out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Status(args) => status::run(&args, out),
        Command::Eval { what: Eval::Tray(args) } => eval_tray::run(&args, out),
        Command::Eval { what: Eval::Carts(args) } => eval_carts::run(&args, out),
        Command::Eval { what: Eval::Verify(args) } => eval_verify::run(&args, out),
        Command::Eval { what: Eval::Identify(args) } => eval_identify::run(&args, out),
        Command::Eval { what: Eval::Liveness(args) } => eval_liveness::run(&args, out),
        Command::People(args) => people::run(&args, out),
        Command::Engine(args) => engine::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
    }
}
