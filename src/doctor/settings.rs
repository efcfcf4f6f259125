//! Configuration, catalogue and engine: what a typo breaks.

use std::path::Path;

use till_link::Currency;

use super::{Answer, Seen, Site, fail, ok, skipped, warn};
use crate::checkout::Catalogue;
use crate::config::{Backend, Config};
use crate::engine::tensorrt::Store;
use crate::engine::{Manifest, load};
use crate::runtime::parts;

pub(super) fn valid(site: &Site) -> Seen {
    match &site.config {
        Ok(config) => ok(format!("{} files are right", config.files.len())),
        Err(error) => fail(error.to_string(), format!("edit {}", site.config_file.display())),
    }
}

/// Who may write the configuration may set prices.
pub(super) fn writable(site: &Site) -> Seen {
    use std::os::unix::fs::MetadataExt;
    let config = site.settings()?;
    if !site.live {
        return skipped("a recorded tree does not keep modes");
    }
    let files = config.files.iter().chain([&config.counter.catalogue]);
    let open = |file: &&std::path::PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o002 != 0);
    match files.clone().find(open) {
        Some(file) => {
            fail(format!("{} can be written by anybody", file.display()), format!("chmod o-w {}", file.display()))
        }
        None => ok(format!("none of {} files can be written by everybody", files.count())),
    }
}

pub(super) fn counter(site: &Site) -> Seen {
    let config = site.settings()?;
    let shown = config.files.iter().any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains("id =")));
    if shown {
        ok(format!("counter {}", config.counter.id))
    } else {
        warn(
            format!("no counter.id is written, so this is counter {}", config.counter.id),
            "write id = N under [counter]: no two counters of a shop may share it",
        )
    }
}

fn read_catalogue(site: &Site, config: &Config) -> Result<Catalogue, Answer> {
    let file = site.tree.below(site.place(&config.counter.catalogue));
    Catalogue::load(&file, Currency(config.counter.currency)).map_err(|error| {
        Answer::fail(error.to_string(), format!("till catalogue check {}", config.counter.catalogue.display()))
    })
}

pub(super) fn catalogue(site: &Site) -> Seen {
    let catalogue = read_catalogue(site, site.settings()?)?;
    match catalogue.products().len() {
        0 => fail("the catalogue is empty", "till catalogue import FILE"),
        n => ok(format!("{n} products in {}", catalogue.currency().code())),
    }
}

fn manifest(site: &Site, config: &Config) -> Result<Manifest, Answer> {
    let dir = site.place(&config.tray.engine.dir);
    Manifest::load(&site.tree.below(&dir))
        .map_err(|error| Answer::fail(error.to_string(), format!("till engine check {}", dir.display())))
}

pub(super) fn labels(site: &Site) -> Seen {
    let config = site.settings()?;
    let catalogue = read_catalogue(site, config).map_err(|_| Answer::skipped("the catalogue can't be read"))?;
    let manifest = manifest(site, config).map_err(|_| Answer::skipped("the engine can't be read"))?;
    let lacking = catalogue.without_price(manifest.labels.product_names());
    if lacking.is_empty() {
        ok(format!("each of {} labels has its price", manifest.labels.products()))
    } else {
        fail(
            format!("the engine sees goods that the catalogue does not know: {}", lacking.join(", ")),
            "add these SKUs to the catalogue, or they will be unknown items",
        )
    }
}

pub(super) fn mass(site: &Site) -> Seen {
    let config = site.settings()?;
    if !config.trigger.source.has_scale() {
        return skipped("there is no scale");
    }
    let catalogue = read_catalogue(site, config).map_err(|_| Answer::skipped("the catalogue can't be read"))?;
    let blind = catalogue.products().iter().filter(|product| product.mass_g <= 0).count();
    if blind == 0 {
        ok("every product has its mass")
    } else {
        warn(
            format!("{blind} products have no mass: the scale will call every cart with one of them wrong"),
            "weigh them and write mass_g and mass_tolerance_g into the catalogue",
        )
    }
}

pub(super) fn engine(site: &Site) -> Seen {
    let manifest = manifest(site, site.settings()?)?;
    match manifest.model_bytes() {
        Ok(bytes) => {
            ok(format!("{}, {} labels, {} kB", manifest.name, manifest.labels.names.len(), bytes.len() / 1000))
        }
        Err(error) => fail(error.to_string(), "copy the engine's folder again; its files were changed or cut"),
    }
}

pub(super) fn backend(site: &Site) -> Seen {
    let config = site.settings()?;
    let engine = &config.tray.engine;
    if !site.live {
        return skipped("libraries of a recorded tree can't be loaded");
    }
    let choice = parts::choice(config);
    let found = load::available(&choice);
    let listed = found.iter().map(|backend| backend.as_str()).collect::<Vec<_>>().join(", ");
    if engine.backend != Backend::Auto && !found.contains(&engine.backend) {
        let text = format!("{} is asked for, but here are only {listed}", engine.backend);
        return if engine.require {
            fail(text, "install the library, or set tray.engine.require = false")
        } else {
            warn(text, "install the library, or set tray.engine.backend = \"auto\"")
        };
    }
    let wants = matches!(engine.backend, Backend::Auto | Backend::TensorRt) && found.contains(&Backend::TensorRt);
    let stores = Manifest::load(&engine.dir).map(|m| choice.stores(&m)).unwrap_or_default();
    if wants && stores.iter().all(|store: &Store| store.listing().is_empty()) {
        return warn(
            "TensorRT is here, but the engine has no plan: the CPU sells",
            "till engine build --config /etc/till/till.toml",
        );
    }
    if found == [Backend::Rten] {
        return warn(
            "only rten is here: it takes about three times as long as ONNX Runtime",
            "install libonnxruntime.so and name it in tray.engine.ort_dylib",
        );
    }
    ok(listed)
}

/// Whether `path` exists on the box, for the checks of other files.
pub(super) fn is_there(site: &Site, path: &Path) -> bool {
    site.tree.exists(site.place(path))
}
