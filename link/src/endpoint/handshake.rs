//! HELLO, and how a link comes up and goes down (SPEC.md 6.4 and 8.3).

use super::wire::{HELLO_BYTES, Hello};
use super::{Endpoint, Event, HELLO_MS, Kind, NONCE_BYTES, Peer, Refusal, Resume};
use crate::frame;
use crate::secure::{FLAG_SECURED, Party, Tail, Unproven};

impl Endpoint {
    /// `None` when the payload is too short to be a HELLO.
    pub(super) fn hello(&mut self, now_ms: u64, payload: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Option<()> {
        let hello = Hello::read(payload)?;
        let proven = match (&mut self.guard, hello.flags & FLAG_SECURED) {
            (Some(guard), flags) => guard.check(payload, HELLO_BYTES, flags).map(Some),
            (None, 0) => Ok(None),
            (None, _) => Err(Unproven::Refused(Refusal::Security)),
        };
        let tail = match (hello.refusal(&self.config), proven) {
            (None, Ok(tail)) => tail,
            // What a stranger says has no effect on a secured link that is up.
            (Some(_), _) | (_, Err(Unproven::Refused(_))) if self.up && self.guard.is_some() => {
                self.stats.bad_macs += 1;
                return Some(());
            }
            (None, Err(Unproven::OtherKey)) => {
                self.say_hello(now_ms);
                return Some(());
            }
            (Some(refusal), _) | (None, Err(Unproven::Refused(refusal))) => {
                self.refuse = Some(refusal);
                self.go_down(now_ms, sink);
                sink(Event::Refused(refusal));
                return Some(());
            }
        };
        let nonce = tail.map_or([0; NONCE_BYTES], |tail| tail.nonce);
        let named = |guard: &crate::secure::Guard| tail.is_some_and(|tail| tail.peer_nonce == guard.nonce());
        let peer = Peer { boot: hello.boot, epoch: hello.epoch, nonce };
        let mut mutual = hello.peer_boot == self.config.boot && self.guard.as_ref().is_none_or(named);
        if self.up {
            if self.peer == Some(peer) && mutual {
                if let (Some(guard), Some(tail)) = (&mut self.guard, tail)
                    && !guard.is_next_hello(tail.count)
                {
                    self.stats.replays += 1;
                    return Some(());
                }
            } else if self.guard.is_some() && !mutual {
                // It may be an old one, played again: our HELLO asks for one that names our nonce.
                self.say_hello(now_ms);
                return Some(());
            } else {
                // An end that has forgotten us no longer hears us: a half-open line is not up.
                self.go_down(now_ms, sink);
                mutual &= self.guard.is_none();
            }
        }
        self.heard_ms = now_ms;
        self.peer = Some(peer);
        // An answer is owed until the other end says that it, too, is up with us.
        if !(mutual && hello.up && self.up) {
            self.hello_due_ms = Some(now_ms);
        }
        if mutual {
            self.mutual(now_ms, &hello, tail, sink);
        }
        Some(())
    }

    fn mutual(&mut self, now_ms: u64, hello: &Hello, tail: Option<Tail>, sink: &mut dyn FnMut(Event<'_>)) {
        let fresh = !self.up;
        let stored = if hello.stored_epoch == self.config.epoch { hello.stored } else { 0 };
        if stored > self.highest_sent && self.unproven {
            // Our disk has lost records that it had said were safe; their numbers may have been given anew.
            sink(Event::LogLost { stored });
            return;
        }
        if fresh {
            self.unproven = false;
            self.establish(hello, tail);
            let lost = self.adopt(hello);
            self.up = true;
            self.stats.ups += 1;
            sink(Event::Up { boot: hello.boot, minor: hello.minor, lost });
        }
        if fresh || !hello.up {
            // It may hold less than it once acknowledged, when its journal was replaced or restored.
            self.acknowledged = self.acknowledged.min(stored);
            self.go_back();
        }
        self.ack(now_ms, stored, sink);
    }

    /// After [`Event::LogLost`]: our log begins anew with record 1 of `epoch`, which was never used before and
    /// is on the disk. The link comes up only then.
    pub fn renew(&mut self, epoch: u32, now_ms: u64) {
        self.config.epoch = epoch;
        // Under the old number a peer's HELLO would be mutual that was said before it heard of the new epoch.
        self.config.boot = (self.config.boot ^ 0x8000_0000).max(1);
        self.unproven = false;
        self.acknowledged = 0;
        self.highest_sent = 0;
        self.go_back();
        self.hello_due_ms = Some(now_ms);
    }

    fn establish(&mut self, hello: &Hello, tail: Option<Tail>) {
        let (Some(guard), Some(tail)) = (&mut self.guard, tail) else { return };
        let ours = Party {
            major: crate::VERSION.0,
            minor: crate::VERSION.1,
            flags: FLAG_SECURED,
            boot: self.config.boot,
            epoch: self.config.epoch,
            nonce: guard.nonce(),
        };
        let theirs = Party {
            major: hello.major,
            minor: hello.minor,
            flags: hello.flags,
            boot: hello.boot,
            epoch: hello.epoch,
            nonce: tail.nonce,
        };
        guard.establish(self.config.counter, &ours, &theirs, tail.count);
    }

    /// Takes the other end's log as it describes it; returns how many of its messages nobody holds.
    fn adopt(&mut self, hello: &Hello) -> u32 {
        if self.resume.epoch != hello.epoch {
            self.resume = Resume { epoch: hello.epoch, sequence: 0 };
            self.delivered = 0;
        }
        let before = hello.first.saturating_sub(1);
        let lost = before.saturating_sub(self.resume.sequence);
        self.resume.sequence = self.resume.sequence.max(before);
        // What the owner was handed and is still storing was delivered: `stored` or `not_stored` will settle it.
        self.delivered = self.delivered.max(self.resume.sequence);
        self.gap_told = false;
        lost
    }

    pub(super) fn hello_frame(&mut self, first: u32, wire: &mut [u8]) -> Option<usize> {
        let flags = if self.guard.is_some() { FLAG_SECURED } else { 0 };
        let (boot, nonce) = self.peer.map_or((None, [0; NONCE_BYTES]), |peer| (Some(peer.boot), peer.nonce));
        let plain = Hello::ours(&self.config, &self.resume, boot, self.up, first, flags).bytes();
        match &mut self.guard {
            None => frame::encode(Kind::Hello, &[&plain], wire),
            Some(guard) => frame::encode(Kind::Hello, &[&plain, &guard.tail(&plain, nonce)], wire),
        }
    }

    /// The other end says that it does not talk to us.
    pub(super) fn refused(&mut self, now_ms: u64, refusal: Refusal, sink: &mut dyn FnMut(Event<'_>)) {
        if self.guard.is_none() {
            self.go_down(now_ms, sink);
        } else if self.up {
            self.stats.bad_macs += 1;
            return;
        }
        sink(Event::Refused(refusal));
    }

    pub(super) fn go_down(&mut self, now_ms: u64, sink: &mut dyn FnMut(Event<'_>)) {
        self.peer = None;
        self.ack_due = false;
        self.gap_due = false;
        self.hello_due_ms = Some(now_ms.saturating_add(HELLO_MS));
        self.go_back();
        if core::mem::take(&mut self.up) {
            if let Some(guard) = &mut self.guard {
                guard.renew();
            }
            sink(Event::Down);
        }
    }

    /// HELLO soon, but not for each frame of a stranger.
    pub(super) fn say_hello(&mut self, now_ms: u64) {
        let soon = now_ms.saturating_add(HELLO_MS / 10);
        self.hello_due_ms = Some(self.hello_due_ms.map_or(soon, |due| due.min(soon)));
    }
}
