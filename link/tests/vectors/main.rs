//! The golden vectors in `link/vectors/`: made here, read by every language. `TILL_BLESS=1 cargo test -p
//! till-link --test vectors` writes them anew; without it a difference is a failure. The guard at the end
//! makes a change of a published vector visible as a change of the version.

mod frames;
mod meaning;
mod messages;
mod secured;
mod sessions;

use std::fmt::Write as _;
use std::path::PathBuf;

use till_link::frame::CRC;

/// The version whose vectors stand on disk, how many they are and the CRC-32C over all files, in the order
/// below. A published vector changes only together with the version.
const GUARD: (&str, usize, u32) = ("1.0", 379, 1_998_795_922);

/// A vector is one flat JSON object of strings on one line, so that a reader in C needs no JSON library.
pub struct Vector(pub Vec<(&'static str, String)>);

pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn render(vectors: &[Vector]) -> String {
    let mut text = String::from("[\n");
    for (i, Vector(pairs)) in vectors.iter().enumerate() {
        let fields: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key:?}: {}", serde_json::json!(value))).collect();
        writeln!(text, "{{{}}}{}", fields.join(", "), if i + 1 < vectors.len() { "," } else { "" }).unwrap();
    }
    text.push_str("]\n");
    text
}

fn crcs() -> Vec<Vector> {
    let long: Vec<u8> = (0..=255).collect();
    let zeros = [0; 32];
    let inputs: [(&str, &[u8]); 7] = [
        ("check value", b"123456789"),
        ("nothing", b""),
        ("one zero", &[0]),
        ("32 zeros", &zeros),
        ("32 ones", &[0xff; 32]),
        ("every byte once", &long),
        ("a heartbeat", &[6, 7, 0, 0, 0]),
    ];
    let vector = |(name, bytes): (&str, &[u8])| {
        Vector(vec![("name", name.into()), ("hex", hex(bytes)), ("crc", format!("{:08x}", CRC.checksum(bytes)))])
    };
    inputs.into_iter().map(vector).collect()
}

#[test]
fn the_vectors_on_disk_are_what_this_code_does() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let files = [
        ("crc.json", crcs()),
        ("frames.json", frames::all()),
        ("messages.json", messages::all()),
        ("sessions.json", sessions::all()),
        ("keys.json", secured::keys()),
        ("secure.json", secured::frames()),
        ("secured-sessions.json", secured::sessions()),
    ];
    let bless = std::env::var_os("TILL_BLESS").is_some();
    let (mut count, mut digest) = (0, CRC.digest());
    for (name, vectors) in &files {
        // A transcript counts once, however many steps it has.
        let mut names: Vec<&String> = vectors.iter().filter_map(|Vector(pairs)| Some(&pairs.first()?.1)).collect();
        names.dedup();
        count += names.len();
        let text = render(vectors);
        digest.update(text.as_bytes());
        let path = folder.join(name);
        if bless {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        for (line, (found, made)) in found.lines().zip(text.lines()).enumerate() {
            assert_eq!(found, made, "{name}, line {}", line + 1);
        }
        assert_eq!(found.len(), text.len(), "{name} has another length");
    }
    let version = format!("{}.{}", till_link::VERSION.0, till_link::VERSION.1);
    let found = (version.as_str(), count, digest.finalize());
    assert_eq!(found, GUARD, "a change of the vectors is a change of the version");
    assert!(count >= 200);
}
