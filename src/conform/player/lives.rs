//! Lives of the till and of the POS: how the link comes up with the next one, and goes down.

use crate::conform::player::keyed;
use crate::conform::player::{ANSWER_MS, Frame, Miss, Player, Step};
use crate::conform::raw::{Hello, kind};
use keyed::Tail;

impl Player<'_> {
    /// A new life: another boot number, nothing known of the POS, as after a power cut.
    pub fn reboot(&mut self) {
        self.boot = self.boot.wrapping_add(0x0101).max(1);
        self.pos = None;
        self.up = false;
        self.heard.clear();
        (self.answer_hello, self.acknowledge, self.beat) = (true, true, true);
        self.minor = till_link::VERSION.1;
        if let Some(keyed) = &mut self.keyed {
            keyed.renew();
            keyed.peer_nonce = [0; 16];
            keyed.extra.clear();
        }
    }

    /// A new life, while the POS holds the link to be down. On a secured link nothing but a mutual HELLO of
    /// another life takes it down at once; without security any HELLO of one will.
    pub fn put_down(&mut self) -> Step {
        self.reboot();
        if self.keyed.is_none() {
            return Ok(());
        }
        self.answer_hello = false;
        let until_ms = self.now_ms() + 6_000;
        loop {
            self.say_hello()?;
            if self.until(400, Frame::hello)?.is_some_and(|hello| hello.up == 0) {
                break;
            }
            if self.now_ms() >= until_ms {
                let story = self.story();
                return Err(Miss::NotRun(format!("a mutual HELLO of another life does not take it down: {story}")));
            }
        }
        // A second answer may be under way.
        self.listen(80)?;
        self.reboot();
        Ok(())
    }

    /// A HELLO of the POS with this tail came: whether the link is up with it. SPEC 8.4.
    pub(super) fn agree(&mut self, hello: &Hello, tail: &Tail, named_boot: bool) -> bool {
        let ours = Hello { flags: keyed::FLAG_SECURED, ..self.hello() };
        let Some(keyed) = &mut self.keyed else { return named_boot };
        let mutual = named_boot && tail.peer_nonce == keyed.nonce;
        if let Some(session) = keyed.session.as_ref().filter(|session| session.is_agreed()) {
            // The keys of a session are made once for each nonce (L-205).
            let same = mutual && session.peer_nonce == tail.nonce;
            if !same {
                keyed.renew();
            }
            return same;
        }
        if mutual {
            keyed.session = Some(keyed::session(keyed.key(), (&ours, &keyed.nonce), (hello, &tail.nonce)));
        }
        mutual
    }

    /// A new life until both ends are up and the POS has all that we ever sent.
    pub fn come_up(&mut self) -> Step {
        self.reboot();
        self.handshake()?;
        self.deliver(ANSWER_MS)
    }

    /// HELLO until both ends are up.
    pub fn handshake(&mut self) -> Step {
        let until_ms = self.now_ms() + 6_000;
        while self.now_ms() < until_ms {
            // Not up, so that the POS answers though an earlier answer was lost; behind a zero, so that a frame
            // that was cut costs no other.
            let hello = Hello { up: 0, ..self.hello() };
            let mut bytes = vec![0];
            bytes.extend_from_slice(&self.frame(kind::HELLO, &hello.bytes()));
            self.raw(&bytes)?;
            let boot = self.boot;
            let both =
                self.until(400, |frame| frame.hello().filter(|hello| hello.peer_boot == boot && hello.up == 1))?;
            if both.is_some() && self.up {
                return Ok(());
            }
        }
        Err(Miss::NotRun(format!("the link does not come up: {}", self.story())))
    }

    /// Kills and starts the POS, and comes up with its next life.
    pub fn restart(&mut self) -> Step<Hello> {
        let before = self.pos;
        // The kill cuts a frame in the middle: that is no fault of the POS.
        let bad_frames = self.bad_frames;
        self.noise = None;
        match self.line.restart() {
            None => return Err(Miss::NotRun("needs --restart".into())),
            Some(Err(error)) => return Err(Miss::NotRun(format!("the POS could not be restarted: {error}"))),
            Some(Ok(())) => {}
        }
        self.reboot();
        self.answer_hello = false;
        let until_ms = self.now_ms() + 15_000;
        loop {
            self.say_hello()?;
            let other = self.until(400, |frame| {
                frame.hello().filter(|hello| before.is_none_or(|before| before.boot != hello.boot))
            })?;
            if let Some(hello) = other {
                self.answer_hello = true;
                self.bad_frames = bad_frames;
                self.handshake()?;
                self.lives = before.map(|before| (before, hello));
                return Ok(hello);
            }
            if self.now_ms() >= until_ms {
                return Err(Miss::NotRun("no HELLO with another boot number within 15 s of the restart".into()));
            }
        }
    }
}
