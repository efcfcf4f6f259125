//! Ends of other versions and schemas, ends that lie, and ends that flood.

use super::*;
use crate::secure::FLAG_SECURED;

fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = frame::encode(kind, &[payload], &mut wire).unwrap();
    wire[..n].to_vec()
}

/// A HELLO of a POS; `head` is major, minor, role, up and flags, then schema, counter, boot and peer boot.
fn hello(head: [u8; 5], schema: u32, counter: u32, peer_boot: u32) -> Vec<u8> {
    let words = [schema, counter, 900, peer_boot, 9, 1, 0, 0];
    head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect()
}

#[test]
fn a_later_minor_version_with_more_to_say_is_talked_to() {
    let (mut till, _) = ends();
    let mut payload = hello([1, 9, 1, 0, 0xfe & !FLAG_SECURED], SCHEMA, 1, 700);
    payload.extend_from_slice(b"what only 1.9 knows");
    till.receive(0, &framed(Kind::Hello, &payload));
    assert!(till.endpoint.is_up(), "L-030");
    // Its new kinds of frames are counted and dropped.
    let mut wire = cobs::encode_vec(&{
        let mut body = std::vec![0x1f, 1, 2, 3];
        let crc = frame::CRC.checksum(&body);
        body.extend_from_slice(&crc.to_le_bytes());
        body
    });
    wire.push(0);
    till.receive(1, &wire);
    assert!(till.endpoint.is_up());
    assert_eq!(till.endpoint.stats().malformed, 1);
}

#[test]
fn another_major_version_schema_role_or_counter_is_refused_in_this_order() {
    for (payload, reason) in [
        (hello([2, 0, 0, 0, 0], SCHEMA ^ 1, 2, 700), Refusal::Version),
        (hello([1, 0, 0, 0, 0], SCHEMA ^ 1, 2, 700), Refusal::Schema),
        (hello([1, 0, 0, 0, 0], SCHEMA, 2, 700), Refusal::Role),
        (hello([1, 0, 1, 0, 0], SCHEMA, 2, 700), Refusal::Counter),
        (hello([1, 0, 1, 0, FLAG_SECURED], SCHEMA, 1, 700), Refusal::Security),
    ] {
        let (mut till, _) = ends();
        till.receive(0, &framed(Kind::Hello, &payload));
        assert_eq!(till.refused, Some(reason), "L-033");
        assert!(!till.endpoint.is_up());
        let frames = till.transmit(0);
        assert_eq!(frames, [framed(Kind::Refuse, &[reason as u8])]);
        assert_eq!(till.transmit(HELLO_MS).len(), 1, "it goes on saying HELLO");
    }
}

#[test]
fn an_end_that_acknowledges_what_was_never_sent_gets_nothing_lost() {
    let (mut till, mut pos) = ends();
    calm(&mut till, &mut pos, 0, 100);
    for (kind, epoch, sequence) in
        [(Kind::Ack, 7, 1), (Kind::Gap, 7, u32::MAX), (Kind::Ack, 8, 0), (Kind::Ack, 7, u32::MAX), (Kind::Gap, 8, 1)]
    {
        till.receive(100, &framed(kind, &wire::pair(epoch, sequence)));
    }
    // HELLO lies, too.
    let mut payload = hello([1, 0, 1, 1, 0], SCHEMA, 1, 700);
    payload[13..17].copy_from_slice(&900u32.to_le_bytes());
    payload[29..33].copy_from_slice(&7u32.to_le_bytes());
    payload[33..37].copy_from_slice(&99u32.to_le_bytes());
    till.receive(100, &framed(Kind::Hello, &payload));
    assert_eq!((till.acknowledged, till.endpoint.acknowledged()), (0, 0));
    assert_eq!(till.endpoint.stats().false_acks, 4);
    till.log.records.push(b"offer".to_vec());
    calm(&mut till, &mut pos, 110, 1_000);
    assert_eq!((pos.taken.len(), till.acknowledged), (1, 1));
}

#[test]
fn a_flood_is_answered_by_no_more_than_it_brings_and_ends_with_a_working_link() {
    for keyed in [false, true] {
        let (mut till, mut pos) = if keyed { secured::secured() } else { ends() };
        calm(&mut till, &mut pos, 0, 100);
        let flood = [
            framed(Kind::Hello, &hello([1, 0, 1, 0, 0], SCHEMA, 1, 0)),
            framed(Kind::Hello, &hello([1, 0, 0, 0, 0], SCHEMA, 1, 0)),
            framed(Kind::Data, &[&wire::pair(9, 77)[..], b"beyond"].concat()),
            framed(Kind::Data, &wire::pair(8, 1)),
            framed(Kind::Heartbeat, &5u32.to_le_bytes()),
            framed(Kind::Refuse, &[2]),
            std::vec![0x55; 5_000],
            std::vec![0; 100],
        ];
        let (mut brought, mut answered) = (0, 0);
        for round in 0..2_000u64 {
            let bytes = &flood[round as usize % flood.len()];
            brought += 1;
            till.receive(100 + round, bytes);
            answered += till.transmit(100 + round).len();
        }
        assert!(answered <= brought, "{answered} frames for {brought}");
        assert_eq!(till.taken.len(), 0);
        till.log.records.push(b"offer".to_vec());
        calm(&mut till, &mut pos, 2_100, 10_000);
        assert!(till.endpoint.is_up() && pos.endpoint.is_up());
        assert_eq!(pos.taken, till.log.records);
    }
}
