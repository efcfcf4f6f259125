//! What ping says of each thing that can be at the other end.

use std::io;

use super::line::Line;
use super::ping::{Diagnosis, ping};
use super::raw::{self, Ear, Heard, Hello, kind};

/// An other end that answers each frame with bytes.
struct Canned<F> {
    now_ms: u64,
    ear: Ear,
    waiting: Vec<u8>,
    answer: F,
}

impl<F: FnMut(&[u8], Option<Hello>) -> Vec<u8>> Line for Canned<F> {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn read(&mut self, bytes: &mut Vec<u8>, until_ms: u64) -> io::Result<()> {
        self.now_ms = if self.waiting.is_empty() { until_ms.max(self.now_ms) } else { self.now_ms + 4 };
        bytes.append(&mut self.waiting);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut hello = None;
        for &byte in bytes {
            if let Some(Heard::Frame { kind: kind::HELLO, payload }) = self.ear.take(byte) {
                hello = Hello::read(&payload);
            }
        }
        let answer = (self.answer)(bytes, hello);
        self.waiting.extend_from_slice(&answer);
        Ok(())
    }

    fn restart(&mut self) -> Option<io::Result<()>> {
        None
    }
}

fn asked(answer: impl FnMut(&[u8], Option<Hello>) -> Vec<u8>) -> (Diagnosis, String) {
    let mut line = Canned { now_ms: 0, ear: Ear::default(), waiting: Vec::new(), answer };
    let pinged = ping(&mut line, 1, 4, 77, None).unwrap();
    (pinged.diagnosis(1), pinged.words(1))
}

/// A POS that changes its HELLO.
fn pos(change: impl Fn(&mut Hello)) -> (Diagnosis, String) {
    asked(|_, hello| {
        let Some(hello) = hello else { return Vec::new() };
        let mut answer = Hello { role: 1, boot: 5, peer_boot: hello.boot, ..hello };
        change(&mut answer);
        raw::frame(kind::HELLO, &answer.bytes())
    })
}

#[test]
fn each_other_end_has_its_own_words() {
    assert_eq!(pos(|_| {}).0, Diagnosis::Well);
    assert_eq!(pos(|hello| hello.role = 0).0, Diagnosis::Till);
    assert_eq!(pos(|hello| hello.major = 2).0, Diagnosis::Version);
    assert_eq!(pos(|hello| hello.schema = 1).0, Diagnosis::Schema);
    assert_eq!(pos(|hello| hello.counter = 2).0, Diagnosis::Counter);
    assert_eq!(pos(|hello| hello.peer_boot = 0).0, Diagnosis::Deaf);
    assert_eq!(asked(|_, _| Vec::new()).0, Diagnosis::Silent);
    assert_eq!(asked(|bytes, _| bytes.to_vec()).0, Diagnosis::Loop);
    let (diagnosis, words) = asked(|_, _| vec![0xf8, 0x0c, 0x00, 0x9e, 0x66]);
    assert!(diagnosis == Diagnosis::NoFrames && words.contains("another rate"), "{words}");
    let (diagnosis, words) = asked(|_, _| vec![0; 50]);
    assert!(diagnosis == Diagnosis::NoFrames && words.contains("held low"), "{words}");
    let refuses = |reason| asked(move |_, hello| hello.map_or(Vec::new(), |_| raw::frame(kind::REFUSE, &[reason])));
    let (diagnosis, words) = refuses(0);
    assert!(diagnosis == Diagnosis::Refused && words.contains("its own"), "{words}");
    let (diagnosis, words) = refuses(5);
    assert!(diagnosis == Diagnosis::NeedsKey && words.contains("--key-file"), "{words}");
    assert_eq!(pos(|hello| hello.flags = 1).0, Diagnosis::NeedsKey);
    let mut number = 0;
    let (diagnosis, words) = asked(|_, hello| {
        let Some(hello) = hello else { return Vec::new() };
        number += 1;
        let mut frame = raw::frame(kind::HELLO, &Hello { role: 1, peer_boot: hello.boot, ..hello }.bytes());
        frame[6] ^= u8::from(number == 2) << 3;
        frame
    });
    assert!(diagnosis == Diagnosis::Lossy && words.starts_with("the POS answers, but 1 of 4"), "{words}");
}
