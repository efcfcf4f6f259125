//! With `link.thumbnails` each offer goes with a picture of the tray, over a line of 115200 whose offer comes first.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};

use till::port::pty::{BYTES_PER_S_115200, NullModem};

use crate::common::Running;

#[test]
fn an_offer_comes_with_a_picture_of_the_tray() {
    let folder = tempfile::tempdir().unwrap();
    let cable = NullModem::open(Some(BYTES_PER_S_115200)).unwrap();
    let [till_end, pos_end] = cable.ends();
    let config = crate::kill::config(folder.path(), till_end);
    let mut text = std::fs::read_to_string(&config).unwrap();
    write!(text, "[link]\nthumbnails = true\n").unwrap();
    std::fs::write(&config, text).unwrap();
    let state = folder.path().join("pos");
    let mut pos =
        Running::heard(&["pos", "--json", "--port", pos_end.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let _till = Running::heard(&["run", "--config", config.to_str().unwrap()]);
    let mut offered = None;
    // The offer stands until the goods are taken, so the picture always has its time.
    for line in BufReader::new(pos.0.stdout.take().unwrap()).lines() {
        let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        match event["event"].as_str() {
            Some("offer") => offered = event["sale"].as_str().map(str::to_owned),
            Some("picture") => {
                assert_eq!(event["sale"].as_str(), offered.as_deref(), "the offer comes before its picture");
                let bytes = event["bytes"].as_u64().unwrap();
                assert!((500..16_000).contains(&bytes), "{bytes} bytes");
                return;
            }
            _ => {}
        }
    }
    panic!("the POS ended without a picture");
}
