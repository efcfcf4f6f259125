//! Every engine of the project gives the same outputs on both backends, on real pictures of the counter.

use std::path::{Path, PathBuf};

use till::cli::engine::{PARITY, folders, parity};
use till::cli::picture;
use till::engine::{self, Backend, Choice, EngineErrorKind, Manifest};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Real frames of the counter, spread over the products; none without the data.
fn pictures() -> Vec<PathBuf> {
    let Some(dir) = crate::common::data("counter8/images") else { return Vec::new() };
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files.into_iter().step_by(40).collect()
}

#[test]
fn both_backends_give_the_same_outputs() {
    let folders = folders(&[root().join("engines"), root().join("tests/data/blobs")]).unwrap();
    let pictures = pictures();
    for folder in folders {
        let manifest = Manifest::load(&folder).unwrap();
        let mut engines = Vec::new();
        for backend in [Backend::Rten, Backend::OnnxRuntime] {
            match engine::load(&manifest, &Choice { backend, ..Choice::default() }) {
                Ok(engine) => engines.push(engine),
                Err(e) if e.kind == EngineErrorKind::Backend => {
                    println!("skipped: {e}");
                    return;
                }
                Err(e) => panic!("{e}"),
            }
        }
        let mut worst = parity(&manifest, &mut engines, None).unwrap()[0];
        for file in &pictures {
            let frame = picture::load(file).unwrap();
            worst = worst.max(parity(&manifest, &mut engines, Some(&frame)).unwrap()[0]);
        }
        println!("{}: largest difference {worst:e} over noise and {} pictures", manifest.name, pictures.len());
        assert!(worst <= PARITY, "{}: {worst}", manifest.name);
    }
}
