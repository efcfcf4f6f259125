//! Keys, and closing bytes with them: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), a random nonce of 24 bytes before
//! the ciphertext, the tag of 16 behind it. 24 bytes are enough for nonces drawn blindly. Keys and opened bytes are
//! overwritten when they are dropped.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{VaultError, VaultErrorKind};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// What closing adds.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// Fills an array from the system's random numbers.
///
/// # Errors
/// [`VaultErrorKind::Random`]
pub fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(n) if n == N => Ok(bytes),
        _ => Err(VaultError::new(VaultErrorKind::Random, "key", "the system has no random numbers")),
    }
}

/// A secret key.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

/// Says that there is one.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// [`VaultErrorKind::Random`]
    pub fn draw() -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// From its bytes; none for another number of bytes, or for zeros, which is what a wiped key leaves.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(bytes).ok()?);
        key.iter().any(|byte| *byte != 0).then_some(Self(key))
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Tells two keys apart and gives nothing of them away.
    pub fn id(&self) -> [u8; 8] {
        let hash = Sha256::new().chain_update(b"till people key id 1").chain_update(self.0.as_slice()).finalize();
        std::array::from_fn(|i| hash[i])
    }

    /// Closes `plain`, which becomes the ciphertext in place, and binds it to `about`: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`VaultErrorKind::Random`]; [`VaultErrorKind::Full`] beyond 256 GiB.
    pub fn seal(&self, about: &[u8], plain: &mut [u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let cipher = XChaCha20Poly1305::new(self.0.as_slice().try_into().map_err(|_| too_long())?);
        let tag = cipher.encrypt_inout_detached(&XNonce::from(nonce), about, plain.into()).map_err(|_| too_long())?;
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`Key::seal`] closed; none if key, `about` or any byte is another.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (cipher_text, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = Zeroizing::new(cipher_text.to_vec());
        let cipher = XChaCha20Poly1305::new(self.0.as_slice().try_into().ok()?);
        let buffer = plain.as_mut_slice().into();
        cipher.decrypt_inout_detached(&XNonce::from(*nonce), about, buffer, &Tag::from(*tag)).ok()?;
        Some(plain)
    }
}

fn too_long() -> VaultError {
    VaultError::new(VaultErrorKind::Full, "vault", "more bytes than can be closed at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha-03, A.3.1: the construction is the one that others read.
    #[test]
    fn the_drafts_own_example_opens() {
        let bytes = |hex: &str| -> Vec<u8> {
            hex.as_bytes().chunks(2).map(|h| u8::from_str_radix(std::str::from_utf8(h).unwrap(), 16).unwrap()).collect()
        };
        let key: Vec<u8> = (0x80..0xa0).collect();
        let mut sealed: Vec<u8> = (0x40..0x58).collect();
        sealed.extend(bytes(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c670\
             8c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9\
             768812f615c68b13b52e",
        ));
        sealed.extend(bytes("c0875924c1c7987947deafd8780acf49"));
        let plain = Key::of(&key).unwrap().open(&bytes("50515253c0c1c2c3c4c5c6c7"), &sealed).unwrap();
        assert!(plain.starts_with(b"Ladies and Gentlemen of the class of '99"), "{:?}", &plain[..20]);
    }

    #[test]
    fn what_was_closed_opens_with_the_same_key_and_words_only() {
        let (key, other) = (Key::draw().unwrap(), Key::draw().unwrap());
        let mut plain = b"secret".to_vec();
        let sealed = key.seal(b"about", &mut plain).unwrap();
        assert_ne!(plain, b"secret", "the plaintext is gone");
        assert_eq!(key.open(b"about", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"abouT", &sealed).is_none() && other.open(b"about", &sealed).is_none());
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(key.open(b"about", &bad).is_none() && key.open(b"about", &sealed[..i]).is_none(), "{i}");
        }
        assert_ne!(key.seal(b"", &mut [1]).unwrap(), key.seal(b"", &mut [1]).unwrap(), "a nonce of its own");
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert!(Key::of(&[0; 32]).is_none() && Key::of(&[1; 31]).is_none() && key.id() != other.id());
    }
}
