//! Watches the folders of TensorRT's plans. After an upgrade the counter starts on what works; `till engine build` makes
//! the new plan in a process of its own (`till-plans.service`), and once it is checked and in place, this thread loads it
//! and hands it to vision, which changes over at its next idle moment. It has no heart: loading may take long, and
//! nothing waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::config::Config;
use crate::engine::tensorrt::{self, Store};
use crate::engine::{Backend, Choice, Manifest};
use crate::runtime::eye::Better;
use crate::runtime::live::ToCounter;
use crate::runtime::{RuntimeError, parts};

/// How often the folders are looked at; a listing costs some system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the thread owns.
pub struct Watcher {
    manifest: Manifest,
    choice: Choice,
    stores: Vec<Store>,
    seen: Vec<Listing>,
    told: Vec<String>,
}

type Listing = Vec<(String, Option<std::time::SystemTime>, u64)>;

impl Watcher {
    /// For the tray's engine; `None` where no plan can ever serve.
    pub fn of(config: &Config) -> Result<Option<Self>, RuntimeError> {
        let choice = parts::choice(config);
        if !tensorrt::is_built_in() || !matches!(choice.backend, Backend::Auto | Backend::TensorRt) {
            return Ok(None);
        }
        let manifest = Manifest::load(&config.tray.engine.dir)?;
        let stores = choice.stores(&manifest);
        let seen = stores.iter().map(Store::listing).collect();
        Ok(Some(Self { manifest, choice, stores, seen, told: Vec::new() }))
    }

    /// Runs until `stop`.
    pub fn run(mut self, better: &Better, out: &Sender<ToCounter>, look: &AtomicBool, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let quarantined: Vec<String> = self.stores.iter().flat_map(Store::quarantined).collect();
            if quarantined != self.told {
                self.told.clone_from(&quarantined);
                let _ = out.send(ToCounter::Quarantined(quarantined));
            }
            // Not beside a shopper: loading takes a core and memory.
            if !look.load(Ordering::Relaxed) && self.is_news() {
                self.load(better);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Whether other plans lie there than when it was last asked.
    fn is_news(&mut self) -> bool {
        let now: Vec<Listing> = self.stores.iter().map(Store::listing).collect();
        let news = now != self.seen;
        self.seen = now;
        news
    }

    fn load(&self, better: &Better) {
        if let Some(vision) = parts::vision_on(&self.manifest, &self.choice, Backend::TensorRt) {
            log::info!(
                "engine {}: a new plan ({}) serves from the next idle moment on",
                self.manifest.name,
                vision.precision()
            );
            let below = parts::below(&self.manifest, &self.choice, vision.backend());
            better.put(vision, below);
        }
    }
}
