//! `till engine build`: plans for TensorRT, each built in a child process, compared with the CPU and swapped in. The
//! counter may run meanwhile; it takes the plan at its next start.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::engine::tensorrt::Precision;

use crate::config::{Config, Int8};
use crate::runtime::parts;

use super::engine::Common;
use super::exit::{CliError, Exit};

/// What `till engine build` takes.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// Which engines
    #[command(flatten)]
    pub common: Common,
    /// Take engines, folder of plans, precision, DLA core and pictures from the counter's configuration; what is named
    /// beside it goes before
    #[arg(long, value_name = "FILE", conflicts_with = "dirs")]
    pub config: Option<PathBuf>,
    /// fp16, fp32 or int8; TensorRT 11 and RTX take the model's own [default: fp16]
    #[arg(long, value_name = "P")]
    pub precision: Option<Precision>,
    /// Take fp16 where the board isn't fast at int8
    #[arg(long)]
    pub if_fast: bool,
    /// Build for this DLA core of a Xavier or Orin, with the GPU for what it lacks
    #[arg(long, value_name = "CORE")]
    pub dla: Option<u8>,
    /// Folder of pictures to compare on, values and carts; seeded noise without it
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Folder of pictures that INT8's ranges are taken from, for a model without Q/DQ nodes [default: --pictures]
    #[arg(long, value_name = "DIR")]
    pub calibrate: Option<PathBuf>,
    /// How the ranges are taken
    #[arg(long, value_name = "KIND", default_value = "entropy")]
    pub calibration: Ranges,
    /// Memory of TensorRT's workspace, MiB
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub workspace_mib: u64,
    /// Resident memory at which the builder is ended, MiB
    #[arg(long, value_name = "N", default_value_t = 3072)]
    pub memory_mib: u64,
    /// Time after which the builder is ended, seconds
    #[arg(long, value_name = "N", default_value_t = 7200)]
    pub time_s: u64,
    /// Build even if a checked plan is there
    #[arg(long)]
    pub force: bool,
}

/// How INT8's ranges are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ranges {
    /// Least loss of information
    Entropy,
    /// The least and the greatest value
    MinMax,
}

impl Ranges {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entropy => "entropy",
            Self::MinMax => "min-max",
        }
    }
}

impl BuildArgs {
    /// With what the configuration says, where one is named: for the tray's engine, then for those of the face camera,
    /// which compute in FP16 and are compared on noise.
    ///
    /// # Errors
    /// A configuration that can't be read.
    pub fn filled(&self) -> Result<Vec<Self>, CliError> {
        let mut tray = self.clone();
        let Some(file) = &self.config else { return Ok(vec![tray]) };
        let config = Config::load(file).map_err(|e| CliError::new(Exit::Config, e.to_string()))?;
        let (choice, engine) = (parts::choice(&config), config.tray.engine);
        tray.common.ort_dylib = tray.common.ort_dylib.or(engine.ort_dylib);
        tray.common.plans = tray.common.plans.or(choice.plans);
        let face = config.face.map(|face| {
            let common = Common { dirs: vec![face.detector, face.embedder], ..tray.common.clone() };
            let precision = Some(Precision::Fp16);
            Self { common, precision, dla: None, pictures: None, calibrate: None, ..tray.clone() }
        });
        tray.common.dirs = vec![engine.dir];
        tray.precision = tray.precision.or(choice.want.precision);
        tray.if_fast |= engine.int8 == Int8::IfFast;
        tray.dla = tray.dla.or(choice.want.dla);
        tray.pictures = tray.pictures.or(engine.pictures);
        Ok(std::iter::once(tray).chain(face).collect())
    }
}

/// What the child process takes; nobody else calls it.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The engine's folder
    pub dir: PathBuf,
    /// File for the plan
    #[arg(long)]
    pub plan: PathBuf,
    /// File of timings
    #[arg(long)]
    pub timing: PathBuf,
    /// How to compute
    #[arg(long)]
    pub precision: Precision,
    /// DLA core
    #[arg(long)]
    pub dla: Option<u8>,
    /// Folder of pictures for INT8's ranges
    #[arg(long)]
    pub calibrate: Option<PathBuf>,
    /// How they are taken
    #[arg(long, default_value = "entropy")]
    pub calibration: Ranges,
    /// What was found is kept here
    #[arg(long)]
    pub calibration_cache: Option<PathBuf>,
    /// Memory of TensorRT's workspace, MiB
    #[arg(long)]
    pub workspace_mib: u64,
}

#[cfg(feature = "tensorrt")]
pub use super::engine_plan::{build, carry_out};

#[cfg(not(feature = "tensorrt"))]
pub use without::{build, carry_out};

#[cfg(not(feature = "tensorrt"))]
mod without {
    use std::path::Path;

    use serde_json::Value;

    use super::{BuildArgs, PlanArgs};
    use crate::cli::exit::{CliError, Exit};

    fn missing<T>() -> Result<T, CliError> {
        let message = "engine build: this till was built without TensorRT; build it with --features tensorrt where \
                       NvInfer.h is (docs/engines.md)";
        Err(CliError::new(Exit::Missing, message))
    }

    /// Always an error.
    pub fn build(_: &Path, _: &BuildArgs) -> Result<Value, CliError> {
        missing()
    }

    /// Always an error.
    pub fn carry_out(_: &PlanArgs) -> Result<(), CliError> {
        missing()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        args: BuildArgs,
    }

    #[test]
    fn a_configuration_names_the_trays_engine_and_those_of_the_face_camera() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("till.toml");
        let text = "[counter]\nstate_dir = \"/state\"\ncatalogue = \"/c.csv\"\n[tray.camera]\ntest = true\n[tray.engine]\n\
                    dir = \"/tray\"\nint8 = \"if-fast\"\ndla = 1\npictures = \"/seen\"\n[port]\npath = \"/p\"\n";
        let filled = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Words::parse_from(["build", "--config", file.to_str().unwrap()]).args.filled().unwrap()
        };
        let [tray] = &filled(text)[..] else { panic!("one without a face camera") };
        assert_eq!((&tray.common.dirs[..], tray.precision), (&["/tray".into()][..], Some(Precision::Int8)));
        assert!(tray.if_fast && tray.dla == Some(1) && tray.pictures == Some("/seen".into()));
        let [_, face] = &filled(&format!("{text}[face.camera]\ntest = true\n"))[..] else { panic!("two with one") };
        let usual = "/usr/share/till/engines/face-";
        assert_eq!(face.common.dirs, ["mtcnn", "mobilefacenet"].map(|name| PathBuf::from(format!("{usual}{name}"))));
        assert_eq!((face.precision, face.dla, &face.pictures), (Some(Precision::Fp16), None, &None));
        assert_eq!(
            (&face.common.plans, &tray.common.plans),
            (&Some("/state/plans".into()), &Some("/state/plans".into()))
        );
    }
}
