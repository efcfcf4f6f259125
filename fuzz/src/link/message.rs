use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use till_link::message::{decode, encode};
use till_link::{PAYLOAD_BYTES_MAX, ToPos, ToTill};

/// Whatever decodes fits a frame again, and means the same when it comes back.
pub fn message(data: &[u8]) {
    let Some((way, bytes)) = data.split_first() else { return };
    if way & 1 == 0 {
        if let Some(message) = round_trip::<ToPos>(bytes) {
            message.durable();
            if let ToPos::CartChanged { cart, .. } | ToPos::Offer { cart, .. } | ToPos::Closed { cart, .. } = &message {
                cart.sum_minor();
                cart.currency.code();
            }
        }
    } else if let Some(message) = round_trip::<ToTill>(bytes) {
        message.durable();
    }
}

fn round_trip<M: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<M> {
    let message: M = decode(bytes)?;
    let mut buffer = [0; PAYLOAD_BYTES_MAX];
    let again = encode(&message, &mut buffer).expect("a message that was decoded fits a frame");
    assert!(again.len() <= bytes.len(), "{message:?} is written longer than it came");
    assert_eq!(decode::<M>(again).as_ref(), Some(&message));
    // Cut short anywhere or with a byte more it is another message or none.
    if let Some((_, short)) = again.split_last() {
        assert_ne!(decode::<M>(short).as_ref(), Some(&message));
    }
    Some(message)
}
