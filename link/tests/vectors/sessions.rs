//! Transcripts of one endpoint on a bad wire, step by step. A step is `TIME COMMAND ...`; what an endpoint
//! must do stands below it as `TIME ev ...` and `TIME out ...`. SPEC.md 9 has the words.

use till_link::frame::{self, Kind};
use till_link::{Config, Endpoint, Event, Key, Resume, Role, Security, Source, WIRE_BYTES_MAX};

use crate::{Vector, hex, unhex};

#[derive(Default)]
struct Log {
    first: u32,
    records: Vec<Vec<u8>>,
    events: Vec<Vec<u8>>,
}

impl Source for Log {
    fn first(&self) -> u32 {
        self.first
    }
    fn last(&self) -> u32 {
        self.first - 1 + self.records.len() as u32
    }
    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        let record = self.records.get(sequence.checked_sub(self.first)? as usize)?;
        buffer.get_mut(..record.len())?.copy_from_slice(record);
        Some(record.len())
    }
    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.events.is_empty() {
            return None;
        }
        let event = self.events.remove(0);
        buffer[..event.len()].copy_from_slice(&event);
        Some(event.len())
    }
}

/// The keys of a secured end: number and bytes, the second for a POS only.
#[derive(Clone)]
pub struct Keys(pub Vec<(u8, [u8; 32])>);

impl Keys {
    fn security(&self, seed: [u8; 32]) -> Security {
        let mut keys = self.0.iter().map(|(id, bytes)| Key::new(*id, *bytes));
        Security::new(keys.next().unwrap(), keys.next(), seed)
    }
}

/// One end whose every step is written down.
pub struct Written {
    endpoint: Endpoint,
    pub keys: Option<Keys>,
    log: Log,
    resume: Resume,
    acknowledged: u32,
    pub steps: Vec<String>,
}

impl Written {
    pub fn new(config: Config, keys: Option<Keys>, first: u32) -> Self {
        let log = Log { first, ..Log::default() };
        let mut end = Self {
            endpoint: Endpoint::new(config, Resume::default(), 0, 0, 0),
            keys,
            log,
            resume: Resume::default(),
            acknowledged: first - 1,
            steps: Vec::new(),
        };
        end.start(0, config);
        end
    }

    pub fn start(&mut self, now_ms: u64, config: Config) {
        let Config { role, counter, epoch, boot, window } = config;
        let (first, last) = (self.log.first, self.log.last());
        let mut step = format!(
            "{now_ms} new role={} counter={counter} epoch={epoch} boot={boot} window={window} resume={}/{} acked={} first={first} last={last}",
            role as u8, self.resume.epoch, self.resume.sequence, self.acknowledged
        );
        self.endpoint = match &self.keys {
            None => Endpoint::new(config, self.resume, self.acknowledged, last, now_ms),
            Some(keys) => {
                // A real end's is random; a vector's must come again.
                let seed = [boot as u8; 32];
                let names = ["key", "other"];
                for (name, (id, bytes)) in names.iter().zip(&keys.0) {
                    step += &format!(" {name}={id}:{}", hex(bytes));
                }
                step += &format!(" seed={}", hex(&seed));
                Endpoint::secured(config, keys.security(seed), self.resume, self.acknowledged, last, now_ms)
            }
        };
        self.steps.push(step);
    }

    pub fn append(&mut self, now_ms: u64, payload: &[u8]) {
        self.steps.push(format!("{now_ms} log {}", hex(payload)));
        self.log.records.push(payload.into());
    }

    pub fn event(&mut self, now_ms: u64, payload: &[u8]) {
        self.steps.push(format!("{now_ms} event {}", hex(payload)));
        self.log.events.push(payload.into());
    }

    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        self.steps.push(format!("{now_ms} in {}", hex(bytes)));
        let Self { endpoint, steps, acknowledged, .. } = self;
        let mut stored = None;
        endpoint.receive(now_ms, bytes, |event| {
            if let Event::Durable { epoch, sequence, .. } = event {
                stored = Some(Resume { epoch, sequence });
            }
            if let Event::Acknowledged { sequence } = event {
                *acknowledged = sequence;
            }
            steps.push(format!("{now_ms} ev {}", words(&event)));
        });
        if let Some(resume) = stored {
            self.resume = resume;
            self.steps.push(format!("{now_ms} stored {}/{}", resume.epoch, resume.sequence));
            self.endpoint.stored(resume.epoch, resume.sequence);
        }
    }

    /// The log begins anew, with nothing in it.
    pub fn renew(&mut self, now_ms: u64, epoch: u32) {
        self.steps.push(format!("{now_ms} renew {epoch}"));
        self.log = Log { first: 1, ..Log::default() };
        self.acknowledged = 0;
        self.endpoint.renew(epoch, now_ms);
    }

    pub fn poll(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut wire = [0; WIRE_BYTES_MAX];
        let Self { endpoint, steps, log, .. } = self;
        let at = steps.len();
        steps.push(format!("{now_ms} poll"));
        while let Some(n) =
            endpoint.poll_transmit(now_ms, log, &mut wire, |event| steps.push(format!("{now_ms} ev {}", words(&event))))
        {
            steps.push(format!("{now_ms} out {}", hex(&wire[..n])));
            frames.push(wire[..n].to_vec());
        }
        // A poll that did nothing is written down only where it could have done something.
        if steps.len() == at + 1 && !now_ms.is_multiple_of(100) {
            steps.pop();
        }
        frames
    }
}

fn words(event: &Event<'_>) -> String {
    match event {
        Event::Durable { epoch, sequence, payload } => format!("durable {epoch}/{sequence} {}", hex(payload)),
        Event::Volatile(payload) => format!("volatile {}", hex(payload)),
        Event::Acknowledged { sequence } => format!("acked {sequence}"),
        Event::Up { boot, minor, lost } => format!("up boot={boot} minor={minor} lost={lost}"),
        Event::LogLost { stored } => format!("loglost {stored}"),
        Event::Down => "down".into(),
        Event::Refused(reason) => format!("refused {}", *reason as u8),
    }
}

/// A small generator whose numbers never change (Numerical Recipes' constants).
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % sides
    }
}

/// Two ends on a wire that hurts one frame in `hurt`; returns the transcript of `role`.
pub fn weather(seed: u32, role: Role, keys: Option<Keys>, hurt: u32, reboots: bool, first: u32) -> Vec<String> {
    let mut dice = Dice(seed);
    let mut till_config = Config { role: Role::Till, counter: 3, epoch: 70 + seed, boot: 1_000, window: 1 + seed % 6 };
    let mut pos_config = Config { role: Role::Pos, epoch: 90 + seed, boot: 2_000, ..till_config };
    let mut till = Written::new(till_config, keys.clone(), first);
    let mut pos = Written::new(pos_config, keys, 1);
    let mut now_ms = 0;
    for round in 0..28 {
        now_ms += u64::from([0u16, 10, 35, 120, 400, 1_100, 3_100][dice.roll(7) as usize]);
        match dice.roll(6) {
            0 => till.append(now_ms, format!("till {round}").as_bytes()),
            1 => pos.append(now_ms, format!("pos {round}").as_bytes()),
            2 => till.event(now_ms, b"state"),
            3 => pos.event(now_ms, b"lang"),
            4 if reboots && dice.roll(2) == 0 => {
                till_config.boot += 1;
                till.start(now_ms, till_config);
            }
            5 if reboots && dice.roll(2) == 0 => {
                pos_config.boot += 1;
                pos.start(now_ms, pos_config);
            }
            _ => {}
        }
        for _ in 0..3 {
            let (from, to) = (till.poll(now_ms), pos.poll(now_ms));
            for (frames, end) in [(from, &mut pos), (to, &mut till)] {
                for mut frame in frames {
                    match dice.roll(hurt) {
                        0 => continue,
                        1 if hurt < 50 => {
                            let at = frame.len() / 2;
                            frame[at] ^= 0x08;
                        }
                        2 if hurt < 50 => frame.extend(frame.clone()),
                        3 if hurt < 50 => frame.truncate(frame.len() / 2),
                        _ => {}
                    }
                    end.receive(now_ms, &frame);
                }
            }
        }
    }
    if role == Role::Till { till.steps } else { pos.steps }
}

fn one(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = frame::encode(kind, &[payload], &mut wire).unwrap();
    wire[..n].to_vec()
}

fn hello(head: [u8; 5], words: [u32; 8]) -> Vec<u8> {
    let bytes: Vec<u8> = head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect();
    one(Kind::Hello, &bytes)
}

fn pair(epoch: u32, sequence: u32) -> Vec<u8> {
    [epoch.to_le_bytes(), sequence.to_le_bytes()].concat()
}

/// A message, and in the same read the HELLO of the till's next life, which has found an old HELLO of ours: what the
/// application is still storing is not handed over again.
fn one_read() -> Vec<String> {
    let config = Config { role: Role::Pos, counter: 3, epoch: 9, boot: 2_000, window: 4 };
    let schema = till_link::message::SCHEMA;
    let offer = one(Kind::Data, &[&pair(7, 1)[..], b"offer"].concat());
    let lives = [1, 2].map(|boot| hello([1, 0, 0, 0, 0], [schema, 3, boot, 2_000, 7, 1, 9, 0]));
    let mut pos = Written::new(config, None, 1);
    pos.poll(0);
    pos.receive(100, &lives[0]);
    pos.poll(100);
    pos.receive(200, &[&offer[..], &lives[1]].concat());
    pos.poll(200);
    pos.receive(300, &offer);
    pos.poll(300);
    pos.steps
}

/// What a hostile or broken till says to a POS.
fn strangers() -> Vec<String> {
    let config = Config { role: Role::Pos, counter: 3, epoch: 9, boot: 2_000, window: 4 };
    let mut pos = Written::new(config, None, 1);
    pos.append(0, b"one");
    pos.poll(0);
    let schema = till_link::message::SCHEMA;
    let mut now_ms = 100;
    for frame in [
        one(Kind::Data, &[&pair(7, 1)[..], b"before hello"].concat()),
        hello([2, 0, 0, 0, 0], [schema, 3, 1, 0, 7, 1, 0, 0]),
        hello([1, 0, 0, 0, 0], [schema ^ 1, 3, 1, 0, 7, 1, 0, 0]),
        hello([1, 0, 1, 0, 0], [schema, 3, 1, 0, 7, 1, 0, 0]),
        hello([1, 0, 0, 0, 0], [schema, 4, 1, 0, 7, 1, 0, 0]),
        one(Kind::Refuse, &[3]),
        one(Kind::Refuse, &[77]),
        one(Kind::Hello, &[1, 0, 0]),
        one(Kind::Ack, &[1]),
        hello([1, 7, 0, 0, 0], [schema, 3, 1, 2_000, 7, 5, 9, 0]),
        one(Kind::Ack, &pair(9, 1)),
        one(Kind::Ack, &pair(9, 2)),
        one(Kind::Ack, &pair(8, 1)),
        one(Kind::Data, &[&pair(7, 7)[..], b"a gap"].concat()),
        one(Kind::Data, &[&pair(7, 4)[..], b"old"].concat()),
        one(Kind::Data, &[&pair(8, 5)[..], b"another epoch"].concat()),
        one(Kind::Data, &[&pair(7, 5)[..], b"five"].concat()),
        one(Kind::Data, &[&pair(7, 5)[..], b"five"].concat()),
        one(Kind::Heartbeat, &1u32.to_le_bytes()),
        one(Kind::Heartbeat, &2u32.to_le_bytes()),
        one(Kind::Event, b""),
        hello([1, 0, 0, 1, 0], [schema, 3, 1, 77, 7, 5, 9, 0]),
    ] {
        pos.receive(now_ms, &frame);
        pos.poll(now_ms);
        now_ms += 100;
    }
    pos.steps
}

/// An end whose disk has lost its second message after the other end had acknowledged it (SPEC.md 6.4, *renew*).
fn log_lost(role: Role) -> Vec<String> {
    let schema = till_link::message::SCHEMA;
    let mut config = Config { role, counter: 3, epoch: 9, boot: 2_000, window: 4 };
    let mut end = Written::new(config, None, 1);
    end.append(0, b"one");
    config.boot = 2_001;
    end.start(0, config);
    end.poll(0);
    let to = |boot, up, stored_epoch, stored| {
        hello([1, 0, 1 - role as u8, up, 0], [schema, 3, 1, boot, 7, 1, stored_epoch, stored])
    };
    let peer = |up, stored_epoch, stored| to(2_001, up, stored_epoch, stored);
    // The boot of a log that begins anew.
    let anew = |up, stored_epoch, stored| to(2_001 ^ 0x8000_0000, up, stored_epoch, stored);
    let told = one(Kind::Data, &[&pair(7, 1)[..], b"before it is up"].concat());
    // Told again until it is done, whatever else comes.
    for (now_ms, frame) in [(100, peer(0, 9, 2)), (200, told), (300, peer(1, 9, 2)), (400, one(Kind::Ack, &pair(9, 2)))]
    {
        end.receive(now_ms, &frame);
        end.poll(now_ms);
    }
    end.renew(500, 10);
    end.append(500, b"two");
    end.poll(500);
    // Said before the peer heard of the new epoch: not mutual, nothing comes up.
    let early = (550, peer(1, 9, 2));
    for (now_ms, frame) in [early, (600, anew(0, 9, 2)), (700, one(Kind::Ack, &pair(10, 1))), (800, anew(1, 10, 7))] {
        end.receive(now_ms, &frame);
        end.poll(now_ms);
    }
    end.steps
}

/// The transcript tells all that an endpoint needs: played back alone, it gives the same bytes.
fn play_back(name: &str, steps: &[String]) {
    let mut end: Option<Written> = None;
    for step in steps {
        let mut words = step.split(' ');
        let now_ms: u64 = words.next().unwrap().parse().unwrap();
        let command = words.next().unwrap();
        let rest = words.next().unwrap_or("");
        match (command, &mut end) {
            ("new", slot) => {
                let number = |key: &str| -> u32 {
                    step.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).unwrap().parse().unwrap()
                };
                let role = if number("role") == 0 { Role::Till } else { Role::Pos };
                let (counter, epoch, boot, window) =
                    (number("counter"), number("epoch"), number("boot"), number("window"));
                let config = Config { role, counter, epoch, boot, window };
                let key = |name: &str| {
                    let word = step.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
                    let (id, bytes) = word.split_once(':').unwrap();
                    Some((id.parse().unwrap(), unhex(bytes).try_into().unwrap()))
                };
                let keys: Vec<(u8, [u8; 32])> = [key("key"), key("other")].into_iter().flatten().collect();
                let keys = (!keys.is_empty()).then_some(Keys(keys));
                match slot {
                    Some(end) => {
                        end.keys = keys;
                        end.start(now_ms, config);
                    }
                    None => *slot = Some(Written::new(config, keys, number("first"))),
                }
            }
            ("in", Some(end)) => end.receive(now_ms, &unhex(rest)),
            ("renew", Some(end)) => end.renew(now_ms, rest.parse().unwrap()),
            ("log", Some(end)) => end.append(now_ms, &unhex(rest)),
            ("event", Some(end)) => end.event(now_ms, &unhex(rest)),
            ("poll", Some(end)) => {
                end.poll(now_ms);
            }
            _ => {}
        }
    }
    assert_eq!(end.unwrap().steps, steps, "{name}");
}

pub fn all() -> Vec<Vector> {
    let mut sessions: Vec<(String, Vec<String>)> = Vec::new();
    for (i, role) in [Role::Pos, Role::Pos, Role::Till, Role::Pos, Role::Pos, Role::Till].into_iter().enumerate() {
        let seed = i as u32 + 1;
        sessions.push((format!("calm {seed}"), weather(seed, role, None, 1_000, false, 1)));
        sessions.push((format!("rough {seed}"), weather(seed, role, None, 8, false, 1 + 5 * (seed % 2))));
        sessions.push((format!("rough with reboots {seed}"), weather(seed, role, None, 8, true, 1)));
    }
    sessions.push(("strangers".into(), strangers()));
    sessions.push(("message and next life in one read".into(), one_read()));
    sessions.push(("log lost, POS".into(), log_lost(Role::Pos)));
    sessions.push(("log lost, till".into(), log_lost(Role::Till)));
    vectors(sessions)
}

pub fn vectors(sessions: Vec<(String, Vec<String>)>) -> Vec<Vector> {
    let mut all = Vec::new();
    for (name, steps) in sessions {
        play_back(&name, &steps);
        all.extend(steps.into_iter().map(|step| Vector(vec![("session", name.clone()), ("step", step)])));
    }
    all
}
