//! The player's own half of SPEC 8: proofs, session keys and MACs made by hand, so that a check can say what
//! an honest till never would. It keeps track of what must hold of the other end's all the time.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::conform::raw::{HELLO_BYTES, Hello, kind};

/// Bytes of counter and MAC behind a sealed payload.
pub const SEAL_BYTES: usize = 12;
/// Bytes of a secured HELLO of version 1.0.
pub const SECURED_HELLO_BYTES: usize = HELLO_BYTES + 53;
/// The bit of a sealed frame's kind.
pub const SEALED: u8 = 0x80;
/// The bit of a secured end's flags.
pub const FLAG_SECURED: u8 = 1;

/// A one-time number of an end.
pub type Nonce = [u8; 16];

/// A key and its number; never printed.
#[derive(Clone)]
pub struct Key {
    /// SPEC 8.2.
    pub id: u8,
    secret: [u8; 32],
}

impl Key {
    /// Key number `id`.
    pub fn new(id: u8, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    fn derive(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all = vec![label.as_bytes()];
        all.extend_from_slice(parts);
        all.push(&[1]);
        hmac(&self.secret, &all)
    }

    /// What stands at the end of a HELLO whose payload before it is `covered`.
    pub fn proof(&self, covered: &[u8]) -> [u8; 16] {
        first(&hmac(&self.derive("till-link/1 hello", &[]), &[&[kind::HELLO], covered]))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// HMAC-SHA-256 over `parts` as they stand one behind the other.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Sha256::new().chain_update(pad(0x36));
    parts.iter().for_each(|part| inner.update(part));
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner.finalize()).finalize().into()
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    let mut head = [0; N];
    head.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    head
}

/// What a secured end's HELLO has behind offset 36, without what a later version may put there, and the proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Number of the key.
    pub key: u8,
    /// The sender's.
    pub nonce: Nonce,
    /// The receiver's, as the sender knows it.
    pub peer_nonce: Nonce,
    /// Of the HELLOs under this nonce.
    pub count: u32,
}

impl Tail {
    /// As they stand behind offset 36.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.key];
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.peer_nonce);
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// Reads the payload of a HELLO; `None` when it is too short. The proof is not looked at.
    pub fn read(payload: &[u8]) -> Option<Self> {
        payload.get(..SECURED_HELLO_BYTES)?;
        let (&key, rest) = payload.get(HELLO_BYTES..)?.split_first()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (peer_nonce, rest) = rest.split_first_chunk()?;
        let count = u32::from_le_bytes(*rest.first_chunk()?);
        Some(Self { key, nonce: *nonce, peer_nonce: *peer_nonce, count })
    }
}

/// One end's part in the keys of a session.
pub fn identity(hello: &Hello, nonce: &Nonce) -> Vec<u8> {
    let mut bytes = vec![hello.major, hello.minor, hello.flags];
    bytes.extend_from_slice(&hello.boot.to_le_bytes());
    bytes.extend_from_slice(&hello.epoch.to_le_bytes());
    bytes.extend_from_slice(nonce);
    bytes
}

/// While the link is up: its keys and counters.
#[derive(Clone, Default)]
pub struct Session {
    /// Of frames to the POS.
    pub to_pos: [u8; 32],
    /// Of frames to the till.
    pub to_till: [u8; 32],
    /// The last counter that we sent.
    pub sent: u32,
    /// The last counter of the other end.
    pub received: u32,
    /// The other end's nonce.
    pub peer_nonce: Nonce,
}

impl Session {
    /// The keys are those of two HELLOs, not made up.
    pub fn is_agreed(&self) -> bool {
        self.peer_nonce != [0; 16]
    }
}

/// The keys of the session between two ends that said these HELLOs.
pub fn session(key: &Key, till: (&Hello, &Nonce), pos: (&Hello, &Nonce)) -> Session {
    let (counter, schema) = (till.0.counter.to_le_bytes(), till.0.schema.to_le_bytes());
    let (till, pos_nonce, pos) = (identity(till.0, till.1), pos.1, identity(pos.0, pos.1));
    let parts: [&[u8]; 5] = [&till, &pos, &counter, &schema, &[key.id]];
    Session {
        to_pos: key.derive("till-link/1 to pos", &parts),
        to_till: key.derive("till-link/1 to till", &parts),
        peer_nonce: *pos_nonce,
        ..Session::default()
    }
}

/// A sealed payload: counter and MAC stand behind it. `kind` is that of SPEC 6.1.
pub fn seal(key: &[u8; 32], counter: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    sealed.extend_from_slice(&counter.to_le_bytes());
    let mac: [u8; 8] = first(&hmac(key, &[&[kind | SEALED], &sealed]));
    sealed.extend_from_slice(&mac);
    sealed
}

/// Payload and counter of a sealed payload, when its MAC is right.
pub fn unseal(key: &[u8; 32], kind: u8, sealed: &[u8]) -> Option<(Vec<u8>, u32)> {
    let payload = sealed.get(..sealed.len().checked_sub(SEAL_BYTES)?)?;
    let counter = u32::from_le_bytes(*sealed.get(payload.len()..)?.first_chunk()?);
    (seal(key, counter, kind, payload) == sealed).then(|| (payload.to_vec(), counter))
}

/// What a secured player is given.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The key of the link, and a second one that the POS holds, too.
    pub keys: Vec<Key>,
    /// Random at each start: nonces are made of it.
    pub seed: [u8; 32],
}

/// The keyed state of the player.
pub struct Keyed {
    secrets: Secrets,
    /// Which of the keys is in use.
    pub at: usize,
    /// Ours.
    pub nonce: Nonce,
    drawn: u32,
    /// Of our HELLOs under it.
    pub count: u32,
    /// The POS's, as we know it; zeros if we do not.
    pub peer_nonce: Nonce,
    /// While the player holds the link to be up.
    pub session: Option<Session>,
    /// Boot number and tail of each proved HELLO of the POS, in order.
    pub heard: Vec<(u32, Tail)>,
    /// The POS's last sealed frame, as it came.
    pub last_sealed: Option<(u8, Vec<u8>)>,
    /// The POS's last HELLO, as it came.
    pub last_hello: Vec<u8>,
    /// What a later version puts in front of the proof.
    pub extra: Vec<u8>,
}

/// Kind and payload as of SPEC 6.1, and what a HELLO has more whose proof is right.
pub type Opened = (u8, Vec<u8>, Option<Tail>);

/// What offends a requirement that holds all the time, and how.
pub type Offences = Vec<(&'static str, String)>;

impl Keyed {
    /// The first key is in use.
    pub fn new(secrets: Secrets) -> Self {
        let mut this = Self {
            secrets,
            at: 0,
            nonce: [0; 16],
            drawn: 0,
            count: 0,
            peer_nonce: [0; 16],
            session: None,
            heard: Vec::new(),
            last_sealed: None,
            last_hello: Vec::new(),
            extra: Vec::new(),
        };
        this.renew();
        this
    }

    /// The key in use.
    pub fn key(&self) -> &Key {
        // The command takes no key file without a key.
        self.secrets.keys.get(self.at).unwrap_or(&NO_KEY)
    }

    /// All that the POS holds.
    pub fn all(&self) -> &[Key] {
        &self.secrets.keys
    }

    /// A new nonce; what was known of the session is over.
    pub fn renew(&mut self) {
        self.drawn += 1;
        self.nonce = first(&self.key().derive("conform nonce", &[&self.secrets.seed, &self.drawn.to_le_bytes()]));
        self.count = 0;
        self.session = None;
    }

    /// Of our next HELLO.
    pub fn next_tail(&mut self) -> Tail {
        self.count += 1;
        Tail { key: self.key().id, nonce: self.nonce, peer_nonce: self.peer_nonce, count: self.count }
    }

    /// The payload of a HELLO: the plain one, the tail, what a later version has more, the proof.
    pub fn proved(&self, hello: &[u8], tail: &Tail) -> Vec<u8> {
        let (plain, more) = hello.split_at(HELLO_BYTES.min(hello.len()));
        let mut payload = plain.to_vec();
        if let Some(flags) = payload.get_mut(4) {
            *flags |= FLAG_SECURED;
        }
        payload.extend_from_slice(&tail.bytes());
        payload.extend_from_slice(more);
        payload.extend_from_slice(&self.extra);
        let proof = self.key().proof(&payload);
        payload.extend_from_slice(&proof);
        payload
    }

    /// Kind and payload as they stand in our next frame.
    pub fn dress(&mut self, kind: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        match kind {
            // One that is no whole HELLO stays as it is: nothing behind it would be found.
            kind::HELLO if payload.len() >= HELLO_BYTES => {
                let tail = self.next_tail();
                (kind, self.proved(payload, &tail))
            }
            kind::DATA..=kind::HEARTBEAT => {
                // Not up: under keys that were never agreed.
                let session = self.session.get_or_insert_default();
                session.sent = session.sent.saturating_add(1);
                (kind | SEALED, seal(&session.to_pos, session.sent, kind, payload))
            }
            _ => (kind, payload.to_vec()),
        }
    }

    /// Looks at a frame of the POS as it came; `None` when nobody may act upon it.
    pub fn open(&mut self, kind: u8, payload: Vec<u8>, holes: bool, offences: &mut Offences) -> Option<Opened> {
        let plain = kind & !SEALED;
        match kind {
            kind::HELLO => Some(self.hello(payload, offences)),
            _ if !(kind::DATA..=kind::HEARTBEAT).contains(&plain) => Some((kind, payload, None)),
            _ if kind == plain => {
                offences.push(("L-200", format!("{} without a seal", kind::name(kind))));
                None
            }
            _ => self.sealed(plain, payload, holes, offences),
        }
    }

    fn hello(&mut self, payload: Vec<u8>, offences: &mut Offences) -> Opened {
        let hello = Hello::read(&payload).filter(|hello| hello.flags & FLAG_SECURED != 0);
        let proved = hello.zip(Tail::read(&payload)).filter(|(_, tail)| {
            let key = self.secrets.keys.iter().find(|key| key.id == tail.key);
            let cut = payload.split_last_chunk::<16>();
            key.zip(cut).is_some_and(|(key, (covered, proof))| key.proof(covered) == *proof)
        });
        let Some((hello, tail)) = proved else { return (kind::HELLO, payload, None) };
        self.last_hello.clone_from(&payload);
        let again = |(boot, before): &(u32, Tail)| before.nonce == tail.nonce && *boot == hello.boot;
        let goes_on = self.heard.last().filter(|last| again(last)).map(|(_, before)| before.count);
        if let Some(before) = goes_on.filter(|before| tail.count <= *before) {
            let what = format!("HELLO {} came behind HELLO {before} of the same nonce", tail.count);
            offences.push(("L-204", what));
        }
        if goes_on.is_none() && self.heard.iter().any(|(_, before)| before.nonce == tail.nonce) {
            offences.push(("L-203", "a nonce came that it had before".to_owned()));
        }
        self.heard.push((hello.boot, tail));
        (kind::HELLO, payload, Some(tail))
    }

    fn sealed(&mut self, kind: u8, sealed: Vec<u8>, holes: bool, offences: &mut Offences) -> Option<Opened> {
        // Not ours to open: of an earlier session only the kind is of interest.
        let Some(session) = self.session.as_mut().filter(|session| session.is_agreed()) else {
            let payload = sealed.get(..sealed.len().saturating_sub(SEAL_BYTES)).unwrap_or_default();
            return Some((kind, payload.to_vec(), None));
        };
        let Some((payload, counter)) = unseal(&session.to_till, kind, &sealed) else {
            offences.push(("L-208", format!("{} with a wrong MAC", kind::name(kind))));
            return None;
        };
        self.last_sealed = Some((kind | SEALED, sealed));
        let before = session.received;
        session.received = counter.max(before);
        if before == 0 && counter != 1 && !holes {
            offences.push(("L-210", format!("the first sealed frame of a session has the counter {counter}")));
        } else if counter <= before || counter != before + 1 && !holes {
            offences.push(("L-209", format!("counter {counter} came behind {before}")));
        }
        (counter > before).then_some((kind, payload, None))
    }
}

static NO_KEY: Key = Key { id: 0, secret: [0; 32] };

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `keys.json` and `secure.json`, which other code made.
    #[test]
    fn macs_and_seals_are_those_of_the_specification() {
        let heartbeat = seal(&[0xa5; 32], 1, kind::HEARTBEAT, &700u32.to_le_bytes());
        assert_eq!(heartbeat, [0xbc, 2, 0, 0, 1, 0, 0, 0, 0xa2, 0x83, 0x90, 0x27, 0x72, 0x13, 0xd3, 0x89]);
        assert_eq!(unseal(&[0xa5; 32], kind::HEARTBEAT, &heartbeat), Some((700u32.to_le_bytes().to_vec(), 1)));
        assert_eq!(unseal(&[0xa5; 32], kind::ACK, &heartbeat), None);
        assert_eq!(unseal(&[0xa5; 32], kind::ACK, &heartbeat[..11]), None);
        assert_eq!(format!("{:?}", Key::new(7, [1; 32])), "Key(7)");
    }
}
