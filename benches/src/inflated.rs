//! The texts of compressed messages, each inflated once for all clients.
//!
//! Every member of a room gets the same bytes, and the clients share the cores with the server that
//! they measure: if each inflated them for itself, the server would write less often.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{Read, Result},
};

use flate2::read::DeflateDecoder;

/// The number of messages that are remembered: more than may be on their way in a room.
const CAPACITY: usize = 256;

/// The maximum size of an inflated text, in bytes.
const MAX_TEXT: u64 = 1024 * 1024;

/// What a message leaves out of its compressed data (RFC 7692, 7.2.2), and the last, empty block
/// with which the decoder expects the data to end (RFC 1951, 3.2.4).
const END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

thread_local! {
    static INFLATED: RefCell<Inflated> = RefCell::default();
}

/// The last texts, the newest first, behind their compressed payloads.
#[derive(Default)]
struct Inflated(VecDeque<(Vec<u8>, Vec<u8>)>);

/// Returns what `read` returns for the inflated text of this payload (RFC 7692, 7.2.2).
///
/// # Errors
///
/// If the payload is not compressed data.
pub(crate) fn read_inflated<T>(payload: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<T> {
    INFLATED.with_borrow_mut(|inflated| inflated.text(payload).map(read))
}

impl Inflated {
    fn text(&mut self, payload: &[u8]) -> Result<&[u8]> {
        let known = self.0.iter().position(|(known, _)| known == payload);
        let index = match known {
            Some(index) => index,
            None => {
                self.0.truncate(CAPACITY - 1);
                self.0.push_front((payload.to_vec(), inflate(payload)?));
                0
            }
        };
        Ok(&self.0[index].1)
    }
}

fn inflate(payload: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let whole = Read::chain(payload, &END[..]);
    DeflateDecoder::new(whole)
        .take(MAX_TEXT)
        .read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_inflated() {
        // RFC 7692, 7.2.3.1 and 7.2.3.3.
        let fixed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let stored = [
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ];

        for payload in [&fixed[..], &stored, &fixed] {
            let text = read_inflated(payload, <[u8]>::to_vec);
            assert_eq!(text.unwrap(), b"Hello", "{payload:x?}");
        }
    }

    #[test]
    fn the_oldest_texts_are_forgotten() {
        let mut inflated = Inflated::default();
        for number in 0..=CAPACITY as u16 {
            let [high, low] = number.to_be_bytes();
            let stored = [0x00, 0x02, 0x00, 0xfd, 0xff, high, low, 0x00];
            assert_eq!(inflated.text(&stored).unwrap(), [high, low]);
        }

        assert_eq!(inflated.0.len(), CAPACITY);
    }
}
