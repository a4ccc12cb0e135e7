//! The compression of messages (RFC 7692, 7.2): deflate without context takeover.
//!
//! Compressors belong to threads and compressed copies to payloads, so that a connection owns
//! neither: a message whose clones go to many connections is compressed once.

use super::extension::Deflate;
use bytes::Bytes;
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The tail of a flushed deflate stream, which messages omit (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A message may inflate to this many bytes, whatever its ratio.
const FREE: usize = 64 * 1024;

/// How many times its own size a message may inflate to. Deflate reaches 1,032; text rarely 50.
pub(super) const MAX_RATIO: usize = 100;

/// How many bytes the input and the output of the compressors move at a time.
const CHUNK: usize = 16 * 1024;

/// How many compressed copies are kept for the other connections of a message.
const COPIES: usize = 16;

/// The largest payload whose compressed copy is kept, in bytes.
const MAX_COPIED: usize = 256 * 1024;

thread_local! {
    static COMPRESSORS: RefCell<HashMap<u8, Compress>> = RefCell::default();
    static INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// The compressed copies of the last payloads that several connections share.
static SHARED: [Mutex<Option<Copy>>; COPIES] = [const { Mutex::new(None) }; COPIES];

/// A payload and its compressed form.
struct Copy {
    /// Keeps the payload's memory, so that no other payload has its address.
    payload: Bytes,
    window_bits: u8,
    compressed: Option<Bytes>,
}

impl Deflate {
    /// Compresses a payload; `None` if that makes it no smaller.
    pub(super) fn compress(self, payload: &Bytes) -> Option<Bytes> {
        if payload.is_unique() || payload.len() > MAX_COPIED {
            return compress(payload, self.window_bits);
        }
        // Payloads that are sent at the same time have neighbouring addresses: mix the bits.
        let hash = (payload.as_ptr().addr() >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        let shared = &SHARED[hash >> (usize::BITS - COPIES.ilog2())];
        // The lock is held during the compression: others need its result.
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = &*shared
            && copy.payload.as_ptr() == payload.as_ptr()
            && copy.payload.len() == payload.len()
            && copy.window_bits == self.window_bits
        {
            return copy.compressed.clone();
        }
        let compressed = compress(payload, self.window_bits);
        *shared = Some(Copy {
            payload: payload.clone(),
            window_bits: self.window_bits,
            compressed: compressed.clone(),
        });
        compressed
    }
}

fn compress(payload: &[u8], window_bits: u8) -> Option<Bytes> {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let compressor = compressors
            .entry(window_bits)
            .or_insert_with(|| Compress::new_with_window_bits(Level::fast(), false, window_bits));
        compressor.reset();
        let mut output = Vec::with_capacity(payload.len().min(CHUNK));
        loop {
            let begun = usize::try_from(compressor.total_in()).expect("the size of a payload");
            let rest = &payload[begun..];
            if output.len() == output.capacity() {
                // It has to become smaller than the payload, the tail aside.
                if output.len() >= payload.len() + TAIL.len() {
                    return None;
                }
                output.reserve(CHUNK);
            }
            let status = compressor.compress_vec(rest, &mut output, FlushCompress::Sync);
            status.expect("a compressor that was reset accepts any input");
            let is_done = compressor.total_in() == payload.len() as u64;
            if is_done && output.len() < output.capacity() {
                break;
            }
        }
        let length = output.strip_suffix(&TAIL)?.len();
        output.truncate(length);
        output.shrink_to_fit();
        (length < payload.len()).then(|| output.into())
    })
}

/// The reason why a message does not inflate.
#[derive(Debug)]
pub(super) enum InflateError {
    /// It is not a deflate stream.
    Invalid,
    /// It inflates to more than the limit.
    TooLarge,
    /// It inflates to more than 64 KiB and 100 times its own size.
    Ratio,
}

/// Inflates the payload of a message to at most `limit` bytes. Inflation stops at an error.
pub(super) fn inflate(mut data: Vec<u8>, limit: usize) -> Result<Vec<u8>, InflateError> {
    let by_ratio = data.len().saturating_mul(MAX_RATIO).max(FREE);
    data.extend_from_slice(&TAIL);
    INFLATER.with_borrow_mut(|inflater| {
        let inflater = inflater.get_or_insert_with(|| Decompress::new(false));
        inflater.reset(false);
        let mut rest = &data[..];
        let mut output = Vec::new();
        loop {
            if output.len() == output.capacity() {
                output.reserve((data.len() * 3).clamp(256, CHUNK));
            }
            let (begun, written) = (inflater.total_in(), output.len());
            let status = inflater
                .decompress_vec(rest, &mut output, FlushDecompress::Sync)
                .map_err(|_| InflateError::Invalid)?;
            let read = usize::try_from(inflater.total_in() - begun).expect("the size of a part");
            rest = &rest[read..];
            if output.len() > limit {
                return Err(InflateError::TooLarge);
            }
            if output.len() > by_ratio {
                return Err(InflateError::Ratio);
            }
            let is_full = output.len() == output.capacity();
            match status {
                // A final block may be followed by others (RFC 7692, 7.2.3.4).
                Status::StreamEnd if !rest.is_empty() => inflater.reset(false),
                Status::StreamEnd => break,
                _ if rest.is_empty() && !is_full => break,
                _ if read == 0 && output.len() == written && !is_full => {
                    return Err(InflateError::Invalid);
                }
                _ => {}
            }
        }
        output.shrink_to_fit();
        Ok(output)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clones_of_a_payload_share_one_compressed_copy() {
        let deflate = Deflate { window_bits: 15 };
        let payload = Bytes::from(vec![b'x'; 1000]);
        let clone = payload.clone();

        let first = deflate.compress(&payload).unwrap();
        let second = deflate.compress(&clone).unwrap();
        let smaller = Deflate { window_bits: 9 }.compress(&clone).unwrap();

        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_ne!(first.as_ptr(), smaller.as_ptr());
    }

    #[test]
    fn what_compression_makes_no_smaller_is_not_compressed() {
        let mut state = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .take(1000)
        .collect();

        for payload in [Bytes::new(), Bytes::from("ahoy"), noise.into()] {
            assert_eq!(Deflate { window_bits: 15 }.compress(&payload), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn a_compressed_payload_inflates_to_itself(
            words in proptest::collection::vec("[a-d]{1,9}|.{0,40}", 0..500),
            window_bits in 9..=15u8,
        ) {
            let text = words.concat();
            let payload = Bytes::from(text.clone());

            if let Some(compressed) = (Deflate { window_bits }).compress(&payload) {
                let inflated = inflate(compressed.to_vec(), text.len()).unwrap();
                prop_assert!(inflated == text.as_bytes());
                let result = inflate(compressed.to_vec(), text.len() - 1);
                prop_assert!(matches!(result, Err(InflateError::TooLarge)));
            }
        }

        #[test]
        fn any_bytes_inflate_within_the_limit_or_fail(data in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(inflated) = inflate(data, 1000) {
                prop_assert!(inflated.len() <= 1000);
            }
        }
    }
}
