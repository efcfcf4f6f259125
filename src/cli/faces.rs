//! What the commands that look at photographs of faces share: their engines, one vector a file, progress.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::engine::{Backend, Choice, Manifest};
use crate::people::FmrCurve;
use crate::vision::face::choose;
use crate::vision::face::detector::Around;
use crate::vision::face::{FaceVision, Quality};

use super::engine::FOLDERS;
use super::exit::{CliError, Exit};
use super::picture;

/// Which engines look at the faces.
#[derive(Args, Clone, Debug)]
pub struct FaceEngines {
    /// The face detector's folder [default: engines/face-mtcnn or /var/lib/till/engines/face-mtcnn]
    #[arg(long, value_name = "DIR")]
    pub detector: Option<PathBuf>,
    /// The face embedder's folder [default: face-mobilefacenet, there]
    #[arg(long, value_name = "DIR")]
    pub embedder: Option<PathBuf>,
    /// What runs the engines: auto, rten, onnxruntime or tensorrt
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub backend: Backend,
    /// ONNX Runtime's library, or the folder that holds it
    #[arg(long, value_name = "FILE")]
    pub ort_dylib: Option<PathBuf>,
    /// Threads of one inference
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
}

impl FaceEngines {
    /// The embedder's folder.
    pub fn embedder_dir(&self) -> PathBuf {
        Self::embedder_or_usual(self.embedder.as_deref())
    }

    /// The folder that was named, or the usual embedder's.
    pub fn embedder_or_usual(named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| usual("face-mobilefacenet"), Path::to_owned)
    }

    /// The detector's folder.
    pub fn detector_dir(&self) -> PathBuf {
        self.detector.clone().unwrap_or_else(|| usual("face-mtcnn"))
    }

    /// Loads both engines.
    ///
    /// # Errors
    /// What the engines' folders have against it.
    pub fn load(&self) -> Result<Faces, CliError> {
        let detector = Manifest::load(&self.detector_dir())?;
        let (vision, embedder) = self.vision()?;
        Ok(Faces { vision, detector, embedder, seen: HashMap::new(), ms: 0.0 })
    }

    /// Loads both engines as the face camera's way, and the embedder's manifest.
    ///
    /// # Errors
    /// As [`FaceEngines::load`].
    pub fn vision(&self) -> Result<(FaceVision, Manifest), CliError> {
        self.vision_around(&mut |engine| engine)
    }

    /// As [`FaceEngines::vision`], with each engine in what `around` puts about it.
    ///
    /// # Errors
    /// As [`FaceEngines::load`].
    pub fn vision_around(&self, around: Around<'_>) -> Result<(FaceVision, Manifest), CliError> {
        let embedder = Manifest::load(&self.embedder_dir())?;
        let choice = self.choice();
        Ok((FaceVision::load_around(&self.detector_dir(), &embedder.dir, &choice, around)?, embedder))
    }

    /// What runs them.
    pub fn choice(&self) -> Choice {
        let (backend, threads, ort_dylib) = (self.backend, self.threads, self.ort_dylib.clone());
        Choice { backend, threads, ort_dylib, ..Choice::default() }
    }
}

/// Where an engine of this name lies, or would lie.
fn usual(name: &str) -> PathBuf {
    let places = FOLDERS.map(|f| Path::new(f).join(name));
    places.iter().find(|p| p.exists()).unwrap_or(&places[0]).clone()
}

/// Faces of photographs, each file looked at once.
pub struct Faces {
    vision: FaceVision,
    /// The detector's manifest.
    pub detector: Manifest,
    /// The embedder's manifest.
    pub embedder: Manifest,
    seen: HashMap<PathBuf, Option<Vec<f32>>>,
    ms: f64,
}

impl Faces {
    /// What runs the embedder.
    pub fn backend(&self) -> &'static str {
        self.vision.embedder().backend()
    }

    /// How it computes.
    pub fn precision(&self) -> &str {
        self.vision.embedder().precision().unwrap_or(&self.embedder.precision)
    }

    /// Values of a vector.
    pub fn dimensions(&self) -> usize {
        self.vision.embedder().dimensions()
    }

    /// The unit vector of the face nearest to the middle of the photograph; `None` without a face.
    ///
    /// # Errors
    /// A file that is no picture, an inference that failed.
    pub fn vector(&mut self, file: &Path) -> Result<Option<Vec<f32>>, CliError> {
        if let Some(vector) = self.seen.get(file) {
            return Ok(vector.clone());
        }
        let vector = self.look(file)?.map(|(vector, _)| vector);
        self.seen.insert(file.to_owned(), vector.clone());
        Ok(vector)
    }

    /// As [`Faces::vector`], with the face's measures; the file is looked at anew.
    ///
    /// # Errors
    /// As [`Faces::vector`].
    pub fn look(&mut self, file: &Path) -> Result<Option<(Vec<f32>, Quality)>, CliError> {
        let frame = picture::load(file).map_err(|m| CliError::new(Exit::Failed, m))?;
        let start = Instant::now();
        let faces = self.vision.find(&frame)?;
        let face = choose::central(faces, frame.width as usize, frame.height as usize).copied();
        let mut vector = Vec::new();
        if let Some(face) = &face {
            self.vision.embed(face, &mut vector)?;
        }
        self.ms += start.elapsed().as_secs_f64() * 1e3;
        Ok(face.map(|f| (vector, self.vision.quality(&f))))
    }

    /// Looks at each of `files`, with a line of progress.
    ///
    /// # Errors
    /// As [`Faces::vector`].
    pub fn look_at_all(&mut self, files: &[PathBuf]) -> Result<(), CliError> {
        for (n, file) in files.iter().enumerate() {
            progress(n, files.len(), "pictures", 500);
            self.vector(file)?;
        }
        progress(files.len(), files.len(), "pictures", 500);
        Ok(())
    }

    /// Mean time from decoded picture to vector.
    pub fn ms_per_picture(&self) -> f64 {
        self.ms / self.seen.len().max(1) as f64
    }

    /// Pictures without a face, in the order of their names.
    pub fn without_face(&self) -> Vec<String> {
        let mut files: Vec<String> =
            self.seen.iter().filter(|(_, v)| v.is_none()).map(|(f, _)| f.display().to_string()).collect();
        files.sort();
        files
    }

    /// The curve of false matches beside the embedder.
    ///
    /// # Errors
    /// None there, or another network's.
    pub fn curve(&self) -> Result<FmrCurve, CliError> {
        curve(&self.embedder)
    }
}

/// The curve of false matches beside an embedder.
///
/// # Errors
/// None there, or another network's.
pub fn curve(embedder: &Manifest) -> Result<FmrCurve, CliError> {
    FmrCurve::load(&embedder.dir, &embedder.sha256).map_err(|e| CliError::new(Exit::Config, e.0))
}

/// A bar on a terminal; a line for each `every` elsewhere.
pub fn progress(done: usize, of: usize, what: &str, every: usize) {
    if std::io::stderr().is_terminal() {
        let filled = (done * 30).checked_div(of).unwrap_or(30);
        let bar = "#".repeat(filled) + &".".repeat(30 - filled);
        eprint!("\r[{bar}] {done} of {of} {what}{}", if done == of { "\n" } else { "" });
    } else if done == of || (done > 0 && done.is_multiple_of(every)) {
        eprintln!("{done} of {of} {what}");
    }
}

/// The pictures below `dir`, folder by folder, in the order of their names. `None` where `dir` is no folder.
///
/// # Errors
/// A folder that can't be read.
pub fn pictures(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let error = |e: std::io::Error| CliError::new(Exit::Failed, format!("{}: {e}", dir.display()));
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(error)?
        .map(|e| Ok(e.map_err(error)?.path()))
        .collect::<Result<_, CliError>>()?;
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        if path.is_dir() {
            found.append(&mut pictures(&path)?);
        } else if extension.is_some_and(|e| e == "jpg" || e == "jpeg" || e == "png") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Who is on a picture: the folder's name below `root`, or for a file in `root` itself the name before its number, as
/// in `Jane_Doe_0001.jpg`.
pub fn person(root: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(root).unwrap_or(file);
    let first = inner.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    if inner.components().count() > 1 {
        return first;
    }
    let stem = first.rsplit_once('.').map_or(first.as_str(), |s| s.0);
    match stem.rsplit_once('_') {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => name.to_owned(),
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_by_folder_or_by_name() {
        let root = Path::new("data");
        let of = |f: &str| person(root, Path::new(f));
        assert_eq!(of("data/Jane_Doe/a.jpg"), "Jane_Doe");
        assert_eq!(of("data/Jane_Doe_0012.jpg"), "Jane_Doe");
        assert_eq!((of("data/jane.png").as_str(), of("data/jane_.png").as_str()), ("jane", "jane_"));
    }

    #[test]
    fn pictures_are_found_in_order_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["b/2.JPG", "b/1.png", "a.jpeg", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = pictures(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.jpeg", "b/1.png", "b/2.JPG"]);
        assert!(pictures(&dir.path().join("none")).is_err());
    }
}
