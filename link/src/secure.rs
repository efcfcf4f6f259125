//! The keyed level (SPEC.md 8): who holds the cable is not believed, who holds the key is. HELLO carries a
//! nonce and a proof, both nonces make a key for each direction, and every other frame carries a counter and
//! a MAC under it. Only HMAC-SHA-256 is used, which fits on a page of C.
//!
//! It is always built in: an end without a key is an end without security, and one protocol with one set of
//! tests is worth more than the few kilobytes that a cargo feature would save.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::endpoint::{Refusal, Role};
use crate::frame::{Kind, SEAL_BYTES, SEALED};
use crate::message::SCHEMA;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;
/// Bytes of the proof in HELLO.
pub const PROOF_BYTES: usize = 16;
/// Bytes of the MAC of a sealed frame.
pub const MAC_BYTES: usize = 8;
/// Bit of HELLO's flags: the sender talks in sealed frames only.
pub const FLAG_SECURED: u8 = 1;
/// Bytes that a secured HELLO has behind the plain ones: key id, two nonces, count, proof.
pub const TAIL_BYTES: usize = 1 + 2 * NONCE_BYTES + 4 + PROOF_BYTES;

/// A one-time number of an end.
pub type Nonce = [u8; NONCE_BYTES];

/// 32 bytes that are wiped when they are dropped and never printed.
#[derive(Clone)]
struct Secret([u8; KEY_BYTES]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key shorter than SHA-256's block is padded with zeros (RFC 2104).
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(self.0) {
            *to = from;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        block.zeroize();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// HKDF-Expand of RFC 5869 for one block, with this key as PRK.
    fn derive(&self, label: &str, parts: &[&[u8]]) -> Self {
        let mut info = [0u8; 160];
        let mut used = 0;
        for part in core::iter::once(label.as_bytes()).chain(parts.iter().copied()).chain([&[1u8][..]]) {
            if let Some(room) = info.get_mut(used..used + part.len()) {
                room.copy_from_slice(part);
                used += part.len();
            }
        }
        Self(self.hmac(&[info.get(..used).unwrap_or(&[])]))
    }
}

/// A key that both ends were given, with its number.
///
/// ```
/// let key = till_link::Key::new(7, [0x42; 32]);
/// assert_eq!(format!("{key:?}"), "Key(7)", "a key is never printed");
/// ```
#[derive(Clone)]
pub struct Key {
    id: u8,
    secret: Secret,
}

impl Key {
    /// Key number `id`: 32 bytes from a good source of randomness, not a pass phrase.
    pub fn new(id: u8, secret: [u8; KEY_BYTES]) -> Self {
        Self { id, secret: Secret(secret) }
    }

    /// Its number.
    pub fn id(&self) -> u8 {
        self.id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// What a secured end is given: a key, for a POS during a rotation a second one, and randomness.
///
/// ```
/// use till_link::{Key, Security};
/// let old = Key::new(1, [0x11; 32]);
/// let new = Key::new(2, [0x22; 32]);
/// // The seed must come from the system's random numbers; a fixed one serves an example.
/// let security = Security::new(old, Some(new), [0x5e; 32]);
/// assert_eq!(format!("{security:?}"), "Security { key: Key(1), other: Some(Key(2)) }");
/// ```
#[derive(Clone)]
pub struct Security {
    key: Key,
    other: Option<Key>,
    seed: Secret,
}

impl Security {
    /// `key` is the one that is used first. A till uses no other; a POS follows its till to `other`. `seed`
    /// is random and new at each start of the end: nonces come from it.
    pub fn new(key: Key, other: Option<Key>, seed: [u8; 32]) -> Self {
        Self { key, other, seed: Secret(seed) }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").field("key", &self.key).field("other", &self.other).finish()
    }
}

/// What stands behind the plain part of a HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub nonce: Nonce,
    /// The receiver's nonce as the sender knows it; zeros if it does not.
    pub peer_nonce: Nonce,
    /// Counts the HELLOs under `nonce`.
    pub count: u32,
}

/// Why a HELLO proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// Tell a person.
    Refused(Refusal),
    /// Under a key that is not in use at this till: the POS will follow.
    OtherKey,
}

/// What becomes part of the session's keys, of each end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    pub major: u8,
    pub minor: u8,
    pub flags: u8,
    pub boot: u32,
    pub epoch: u32,
    pub nonce: Nonce,
}

impl Party {
    fn bytes(&self) -> [u8; 27] {
        let mut bytes = [0; 27];
        let words = self.boot.to_le_bytes().into_iter().chain(self.epoch.to_le_bytes());
        let all = [self.major, self.minor, self.flags].into_iter().chain(words).chain(self.nonce);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }
}

struct Session {
    send: Secret,
    receive: Secret,
    sent: u32,
    received: u32,
    /// The count of the peer's last HELLO.
    hellos: u32,
}

/// Why a sealed frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    BadMac,
    Replayed,
}

/// The keyed state of one end.
pub(crate) struct Guard {
    security: Security,
    role: Role,
    boot: u32,
    /// A POS follows its till to the other key.
    follows_other: bool,
    nonce: Nonce,
    nonces_drawn: u32,
    hellos: u32,
    session: Option<Session>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("security", &self.security).field("up", &self.session.is_some()).finish()
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

impl Guard {
    pub(crate) fn new(security: Security, role: Role, boot: u32) -> Self {
        let mut this = Self {
            security,
            role,
            boot,
            follows_other: false,
            nonce: [0; NONCE_BYTES],
            nonces_drawn: 0,
            hellos: 0,
            session: None,
        };
        this.renew();
        this
    }

    /// Ends the session. The nonce was used for one and is never used for another.
    pub(crate) fn renew(&mut self) {
        self.session = None;
        self.hellos = 0;
        self.nonces_drawn = self.nonces_drawn.wrapping_add(1);
        let parts: [&[u8]; 4] =
            [&self.security.seed.0, &[self.role as u8], &self.boot.to_le_bytes(), &self.nonces_drawn.to_le_bytes()];
        let drawn = self.security.key.secret.derive("till-link/1 nonce", &parts);
        for (to, from) in self.nonce.iter_mut().zip(drawn.0) {
            *to = from;
        }
    }

    pub(crate) fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn key(&self) -> &Key {
        match &self.security.other {
            Some(other) if self.follows_other => other,
            _ => &self.security.key,
        }
    }

    fn proof(key: &Key, covered: &[&[u8]]) -> [u8; 32] {
        let [a, b] = match covered {
            [a, b] => [*a, *b],
            [a] => [*a, &[][..]],
            _ => [&[][..], &[][..]],
        };
        key.secret.derive("till-link/1 hello", &[]).hmac(&[&[Kind::Hello as u8], a, b])
    }

    /// What follows `plain`, the HELLO without security.
    pub(crate) fn tail(&mut self, plain: &[u8], peer_nonce: Nonce) -> [u8; TAIL_BYTES] {
        self.hellos = self.hellos.saturating_add(1);
        let mut tail = [0; TAIL_BYTES];
        let head = [self.key().id].into_iter().chain(self.nonce).chain(peer_nonce).chain(self.hellos.to_le_bytes());
        for (to, from) in tail.iter_mut().zip(head) {
            *to = from;
        }
        if let Some((covered, room)) = tail.split_last_chunk_mut::<PROOF_BYTES>() {
            let proof = Self::proof(self.key(), &[plain, covered]);
            for (to, from) in room.iter_mut().zip(proof) {
                *to = from;
            }
        }
        tail
    }

    /// Reads what follows the first `plain` bytes of a HELLO and checks its proof, the last 16 bytes.
    pub(crate) fn check(&mut self, payload: &[u8], plain: usize, flags: u8) -> Result<Tail, Unproven> {
        let unsecured = Unproven::Refused(Refusal::Security);
        if flags & FLAG_SECURED == 0 {
            return Err(unsecured);
        }
        let (covered, proof) = payload.split_last_chunk::<PROOF_BYTES>().ok_or(unsecured)?;
        let rest = covered.get(plain..).ok_or(unsecured)?;
        let (&id, rest) = rest.split_first().ok_or(unsecured)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(unsecured)?;
        let (peer_nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(unsecured)?;
        let (count, _) = rest.split_first_chunk::<4>().ok_or(unsecured)?;
        let Security { key: first, other, .. } = &self.security;
        let other = other.as_ref().filter(|key| key.id == id && self.role == Role::Pos && self.session.is_none());
        let (key, follows_other) = match other {
            _ if self.key().id == id => (self.key(), self.follows_other),
            Some(other) => (other, true),
            None if first.id == id && self.session.is_none() => (first, false),
            None if self.role == Role::Till => return Err(Unproven::OtherKey),
            None => return Err(Unproven::Refused(Refusal::Key)),
        };
        let expected = Self::proof(key, &[covered]);
        if !same(expected.get(..PROOF_BYTES).unwrap_or(&[]), proof) {
            return Err(Unproven::Refused(Refusal::Key));
        }
        self.follows_other = follows_other;
        Ok(Tail { nonce: *nonce, peer_nonce: *peer_nonce, count: u32::from_le_bytes(*count) })
    }

    /// Both ends have proved that they hold the key and know both nonces.
    pub(crate) fn establish(&mut self, counter: u32, ours: &Party, theirs: &Party, hellos: u32) {
        let (till, pos) = match self.role {
            Role::Till => (ours, theirs),
            Role::Pos => (theirs, ours),
        };
        let key = self.key();
        let (till, pos) = (till.bytes(), pos.bytes());
        let (counter, schema) = (counter.to_le_bytes(), SCHEMA.to_le_bytes());
        let parts: [&[u8]; 5] = [&till, &pos, &counter, &schema, &[key.id]];
        let to_pos = key.secret.derive("till-link/1 to pos", &parts);
        let to_till = key.secret.derive("till-link/1 to till", &parts);
        let (send, receive) = match self.role {
            Role::Till => (to_pos, to_till),
            Role::Pos => (to_till, to_pos),
        };
        self.session = Some(Session { send, receive, sent: 0, received: 0, hellos });
    }

    /// A HELLO of the session that holds: `false` when it, or a later one, was seen before.
    pub(crate) fn is_next_hello(&mut self, count: u32) -> bool {
        match &mut self.session {
            Some(session) if count > session.hellos => {
                session.hellos = count;
                true
            }
            _ => false,
        }
    }

    /// Whether no further frame can be sealed: the session must end.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.sent == u32::MAX)
    }

    /// As if so many frames had been sent.
    #[cfg(test)]
    pub(crate) fn wear(&mut self, sent: u32) {
        if let Some(session) = &mut self.session {
            session.sent = sent;
        }
    }

    /// The counter and MAC of the next frame.
    pub(crate) fn seal(&mut self, kind: Kind, parts: &[&[u8]]) -> Option<[u8; SEAL_BYTES]> {
        let session = self.session.as_mut()?;
        session.sent = session.sent.checked_add(1)?;
        let count = session.sent.to_le_bytes();
        let kind = [kind as u8 | SEALED];
        let [a, b] = match parts {
            [a, b] => [*a, *b],
            [a] => [*a, &[][..]],
            _ => return None,
        };
        let mac = session.send.hmac(&[&kind, a, b, &count]);
        let mut seal = [0; SEAL_BYTES];
        for (to, from) in seal.iter_mut().zip(count.into_iter().chain(mac)) {
            *to = from;
        }
        Some(seal)
    }

    /// Takes counter and MAC off a sealed payload.
    pub(crate) fn open<'p>(&mut self, kind: Kind, sealed: &'p [u8]) -> Result<&'p [u8], Unsealed> {
        let session = self.session.as_mut().ok_or(Unsealed::BadMac)?;
        let (covered, mac) = sealed.split_last_chunk::<MAC_BYTES>().ok_or(Unsealed::BadMac)?;
        let (payload, count) = covered.split_last_chunk::<4>().ok_or(Unsealed::BadMac)?;
        let expected = session.receive.hmac(&[&[kind as u8 | SEALED], covered]);
        if !same(expected.get(..MAC_BYTES).unwrap_or(&[]), mac) {
            return Err(Unsealed::BadMac);
        }
        let count = u32::from_le_bytes(*count);
        if count <= session.received {
            return Err(Unsealed::Replayed);
        }
        session.received = count;
        Ok(payload)
    }
}
