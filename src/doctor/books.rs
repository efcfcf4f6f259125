//! The books and the daemon that keeps them.

use super::{Seen, Site, fail, ok, skipped, warn};

pub(super) fn size(site: &Site) -> Seen {
    let config = site.settings()?;
    let folder = site.place(&config.counter.state_dir).join("outbox");
    let names = site.tree.list(&folder);
    if names.is_empty() {
        return skipped("there are no books yet");
    }
    let length = |name: &String| std::fs::metadata(site.tree.below(folder.join(name))).map_or(0, |meta| meta.len());
    let bytes: u64 = names.iter().map(length).sum();
    let text = format!("{} kB of {} kB", bytes >> 10, config.outbox.bytes_max >> 10);
    if bytes.saturating_mul(10) > config.outbox.bytes_max.saturating_mul(8) {
        fail(format!("{text}: selling stops when they are full"), "bring the POS back: what it acknowledges is freed")
    } else {
        ok(text)
    }
}

/// Files in the books' folders that are not the books': an editor's copy, a card that was repaired.
pub(super) fn other_files(site: &Site) -> Seen {
    let config = site.settings()?;
    let base = site.place(&config.counter.state_dir);
    for name in ["outbox", "inbox"] {
        let folder = base.join(name);
        let odd = site.tree.list(&folder).into_iter().find(|file| !file.ends_with(".log") && !file.starts_with('.'));
        if let Some(file) = odd {
            let path = folder.join(file);
            return warn(format!("{} is none of the books", path.display()), "look at it, then move it away");
        }
    }
    ok("nothing but books")
}

pub(super) fn running(site: &Site) -> Seen {
    match &site.daemon {
        Ok(status) => ok(format!("till {}, up {} s", status.version, status.uptime_s)),
        Err(why) if site.live => {
            fail(why.clone(), "sudo systemctl start till; journalctl -u till -n 50 tells why it stopped")
        }
        Err(why) => skipped(why.clone()),
    }
}

pub(super) fn threads(site: &Site) -> Seen {
    let status = site.status()?;
    match status.threads.iter().find(|thread| !thread.beats) {
        Some(thread) => fail(
            format!("{} has been silent for {} ms", thread.name, thread.silence_ms),
            "sudo systemctl restart till, and report it",
        ),
        None => ok(format!("{} threads beat", status.threads.len())),
    }
}

pub(super) fn rung(site: &Site) -> Seen {
    let status = site.status()?;
    let engine = &status.engine;
    match engine.backend.as_str() {
        "none" => fail("no engine works: staff mode", "till engine check"),
        backend if engine.failures > 0 => {
            warn(format!("{backend}, after {} failed inferences", engine.failures), "journalctl -u till | grep engine")
        }
        backend => ok(backend.to_owned()),
    }
}

pub(super) fn load(site: &Site) -> Seen {
    let load = &site.status()?.load;
    match &load.reason {
        Some(reason) => warn(format!("{reason}: {}", load.rung), "thermal.temperature and power.supply tell more"),
        None => ok(format!("{}; {} steps since the start", load.rung, load.steps)),
    }
}

pub(super) fn waiting(site: &Site) -> Seen {
    let status = site.status()?;
    if let Some(error) = &status.outbox.error {
        return fail(error.clone(), "storage.free, storage.mount and storage.errors tell more");
    }
    match status.outbox.unacknowledged {
        0 => ok("the POS has everything"),
        n if status.link.up => ok(format!("{n} messages are on their way")),
        n => warn(format!("{n} messages wait for the POS"), "nothing is lost: bring the POS back, see pos.answers"),
    }
}

pub(super) fn pos(site: &Site) -> Seen {
    let status = site.status()?;
    match (&status.link.error, status.link.up) {
        (Some(error), _) => fail(error.clone(), "serial.port and serial.access tell more"),
        (None, true) => ok(format!("on {}, round trip {} ms", status.link.port, status.link.rtt_ms)),
        (None, false) => fail(
            format!("the POS does not answer on {}", status.link.port),
            "is it on, are both ends at the same rate, are TX and RX crossed? till link ping tells more",
        ),
    }
}

pub(super) fn cable(site: &Site) -> Seen {
    let status = site.status()?;
    let link = &status.link;
    if link.bytes_in < 1_000 {
        return skipped("too little came to judge");
    }
    // A frame has some 40 bytes: one damaged frame in 200 is a bad cable.
    if link.bad_frames.saturating_mul(8_000) > link.bytes_in {
        warn(
            format!("{} damaged frames in {} bytes", link.bad_frames, link.bytes_in),
            "a shielded cable away from motors; screw the plugs tight",
        )
    } else {
        ok(format!("{} damaged frames in {} bytes", link.bad_frames, link.bytes_in))
    }
}
