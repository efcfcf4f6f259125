use std::collections::HashSet;
use std::path::{Path, PathBuf};

use till::checkout::Catalogue;
use till::config::Config;
use till::engine::Manifest;
use till_link::Currency;

/// What people write by hand. The first byte says which file it is; whatever it holds is read or refused
/// with its place, and what was read keeps its limits.
pub fn files(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 3 {
        0 => config(&String::from_utf8_lossy(bytes)),
        1 => catalogue(bytes),
        _ => manifest(&String::from_utf8_lossy(bytes)),
    }
}

/// A form feed ends one file and begins the next.
fn config(text: &str) {
    let texts =
        || text.split('\x0c').enumerate().map(|(i, text)| (PathBuf::from(format!("{i}.toml")), text.to_owned()));
    let config = Config::from_texts(texts());
    assert_eq!(config, Config::from_texts(texts()), "the same text, read twice");
    match config {
        Ok(config) => {
            assert!(config.counter.id >= 1 && config.outbox.segment_bytes <= config.outbox.bytes_max);
            assert!((1..=8).contains(&config.tray.engine.threads));
            assert!(Currency::new(&String::from_utf8_lossy(&config.counter.currency)).is_some());
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.lines().count() <= 3, "{said}");
        }
    }
}

fn catalogue(bytes: &[u8]) {
    let currency = Currency(*b"KRW");
    match Catalogue::parse(bytes, currency) {
        Ok(catalogue) => {
            let mut skus = HashSet::new();
            assert!(!catalogue.products().is_empty());
            for product in catalogue.products() {
                assert!(product.price_minor >= 0 && product.mass_g > 0 && product.mass_tolerance_g >= 0);
                assert!(!product.sku.is_empty() && skus.insert(product.sku.as_str()), "{:?}", product.sku);
            }
            let labels = catalogue.products().iter().take(50).map(|product| product.sku.as_str());
            let found = catalogue.index_labels(labels);
            assert!(found.iter().enumerate().all(|(i, index)| *index == Some(i as u16)));
        }
        Err((line, message)) => {
            let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
            assert!(line <= lines + 2, "line {line} of {lines}: {message}");
        }
    }
}

fn manifest(text: &str) {
    match Manifest::parse(Path::new("engine"), text) {
        Ok(manifest) => {
            assert_eq!(manifest.model_path().parent(), Some(Path::new("engine")), "a model outside of its folder");
            assert!(manifest.labels.products() >= 1 && manifest.labels.products() <= manifest.labels.names.len());
        }
        Err(error) => assert!(error.place.ends_with("manifest.toml"), "{error}"),
    }
}
