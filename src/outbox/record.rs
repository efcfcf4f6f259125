//! Bytes of the books. A segment begins with `TILLLOG1`, epoch and the number of its first record; a
//! record is length, number, payload and CRC-32C over the three. Little-endian.

use till_link::frame::CRC;

/// First bytes of every segment.
const MAGIC: &[u8; 8] = b"TILLLOG1";
/// Bytes before the first record: magic, epoch, first sequence, CRC.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 4;
/// Bytes of a record that are not payload: length, sequence, CRC.
pub(super) const OVERHEAD_BYTES: usize = 4 + 4 + 4;
/// Longest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// A segment's file, named by its first record.
pub(super) fn segment_name(first: u32) -> String {
    format!("{first:010}.log")
}

/// The first record of the segment in file `name`; `None` when it is no segment.
pub(super) fn segment_first(name: &str) -> Option<u32> {
    let stem = name.strip_suffix(".log")?;
    if stem.len() == 10 { stem.parse().ok() } else { None }
}

pub(super) fn header(epoch: u32, first: u32) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let fields = MAGIC.iter().copied().chain(epoch.to_le_bytes()).chain(first.to_le_bytes());
    for (to, from) in bytes.iter_mut().zip(fields) {
        *to = from;
    }
    let crc = CRC.checksum(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Epoch and first sequence; `None` unless the header is whole.
pub(super) fn read_header(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    let (body, crc) = header.split_last_chunk::<4>()?;
    let fields = body.strip_prefix(MAGIC)?;
    let (epoch, first) = fields.split_first_chunk::<4>()?;
    (CRC.checksum(body) == u32::from_le_bytes(*crc))
        .then_some((u32::from_le_bytes(*epoch), u32::from_le_bytes(first.try_into().ok()?)))
}

/// The bytes of one record.
pub(super) fn record(sequence: u32, payload: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = CRC.checksum(bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
}

/// What stands at a place in a segment.
pub(super) enum Found<'a> {
    /// A whole record and where the next begins.
    Record { sequence: u32, payload: &'a [u8], next: usize },
    /// The end of the file, exactly.
    End,
    /// Bytes that are no whole record.
    Damage,
}

pub(super) fn read_record(bytes: &[u8], at: usize) -> Found<'_> {
    let Some(rest) = bytes.get(at..) else { return Found::Damage };
    if rest.is_empty() {
        return Found::End;
    }
    let parse = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return None;
        }
        let (sequence, after) = after.split_first_chunk::<4>()?;
        let (payload, after) = after.split_at_checked(length)?;
        let crc = after.first_chunk::<4>()?;
        let body = rest.get(..8 + length)?;
        (CRC.checksum(body) == u32::from_le_bytes(*crc)).then_some((u32::from_le_bytes(*sequence), payload))
    };
    match parse() {
        Some((sequence, payload)) => Found::Record { sequence, payload, next: at + OVERHEAD_BYTES + payload.len() },
        None => Found::Damage,
    }
}
