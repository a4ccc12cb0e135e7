//! The compression of messages (RFC 7692, 7.2): deflate without context takeover.
//!
//! Compressors belong to threads and compressed copies to payloads, so that a connection owns
//! neither: a message whose clones go to many connections is compressed once for each window size.

use super::extension::Deflate;
use bytes::Bytes;
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The tail of a flushed deflate stream, which messages omit (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The same, and an empty final block. A stream that is not at the start of a block after the tail
/// does not end with it.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// A message may inflate to this many bytes, whatever its ratio.
const FREE: usize = 64 * 1024;

/// How many times its own size a message may inflate to. Deflate reaches 1,032; text rarely 50.
pub(super) const MAX_RATIO: usize = 100;

/// How many bytes the input and the output of the compressors move at a time.
const CHUNK: usize = 16 * 1024;

/// The number of lists of copies, each with its own lock.
const SHARDS: usize = 16;

/// How many copies a list holds: in all lists, twice as many as events that wait in a mailbox.
/// Beyond that, the oldest are removed, and their messages compressed again.
const COPIES: usize = 128;

/// The bytes of all payloads of a list.
const COPIED_BYTES: usize = 1024 * 1024;

/// The largest payload whose compressed copy is kept, in bytes.
const MAX_COPIED: usize = 256 * 1024;

// A compressor is taken out while it works, and put back only after a complete message. One that
// stops within a message, by a `return` or a panic, is dropped: `reset` does not remove all that the
// message has left in it, and the next one would be corrupt. So is an inflater.
thread_local! {
    static COMPRESSORS: RefCell<HashMap<u8, Compress>> = RefCell::default();
    static INFLATER: Cell<Option<Decompress>> = const { Cell::new(None) };
}

/// The compressed copies of payloads that several connections share.
static SHARED: [Mutex<Copies>; SHARDS] = [const { Mutex::new(Copies::new()) }; SHARDS];

/// A list of copies, the oldest first.
struct Copies {
    list: VecDeque<Copy>,
    bytes: usize,
}

/// A payload and its compressed form.
struct Copy {
    /// Keeps the payload's memory, so that no other payload has its address.
    payload: Bytes,
    window_bits: u8,
    compressed: Compressed,
}

/// The compressed form, or `None` if compression makes the payload no smaller. The first
/// connection that needs it compresses, and others wait for that.
type Compressed = Arc<OnceLock<Option<Bytes>>>;

impl Copies {
    const fn new() -> Self {
        Self {
            list: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Returns the place of the compressed form of a payload.
    fn of(&mut self, payload: &Bytes, window_bits: u8) -> Compressed {
        let found = self.list.iter().find(|copy| {
            copy.payload.as_ptr() == payload.as_ptr()
                && copy.payload.len() == payload.len()
                && copy.window_bits == window_bits
        });
        if let Some(copy) = found {
            return copy.compressed.clone();
        }
        self.bytes += payload.len();
        while let Some(oldest) = self.list.front()
            // Nobody else has a payload that is unique.
            && (oldest.payload.is_unique()
                || self.list.len() >= COPIES
                || self.bytes > COPIED_BYTES)
        {
            self.bytes -= oldest.payload.len();
            self.list.pop_front();
        }
        let compressed = Compressed::default();
        self.list.push_back(Copy {
            payload: payload.clone(),
            window_bits,
            compressed: compressed.clone(),
        });
        compressed
    }
}

impl Deflate {
    /// Compresses a payload; `None` if that makes it no smaller.
    pub(super) fn compress(self, payload: &Bytes) -> Option<Bytes> {
        if payload.is_unique() || payload.len() > MAX_COPIED {
            return compress(payload, self.window_bits());
        }
        // Payloads that are sent at the same time have neighbouring addresses: mix the bits.
        let hash = (payload.as_ptr().addr() >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        let copies = &SHARED[hash >> (usize::BITS - SHARDS.ilog2())];
        let compressed = {
            let mut copies = copies.lock().unwrap_or_else(PoisonError::into_inner);
            copies.of(payload, self.window_bits())
        };
        let compressed = compressed.get_or_init(|| compress(payload, self.window_bits()));
        compressed.clone()
    }
}

fn compress(payload: &[u8], window_bits: u8) -> Option<Bytes> {
    let kept = COMPRESSORS.with_borrow_mut(|compressors| compressors.remove(&window_bits));
    let mut compressor =
        kept.unwrap_or_else(|| Compress::new_with_window_bits(Level::fast(), false, window_bits));
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
        status.expect("a compressor that is at its start accepts any input");
        let is_done = compressor.total_in() == payload.len() as u64;
        if is_done && output.len() < output.capacity() {
            break;
        }
    }
    let length = output.strip_suffix(&TAIL)?.len();
    compressor.reset();
    COMPRESSORS.with_borrow_mut(|compressors| compressors.insert(window_bits, compressor));
    output.truncate(length);
    output.shrink_to_fit();
    (length < payload.len()).then(|| output.into())
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

/// Inflates the payload of a message to at most `limit` bytes. Inflation stops at an error. An
/// empty payload is an empty message; any other must be a complete stream.
pub(super) fn inflate(data: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let by_ratio = data.len().saturating_mul(MAX_RATIO).max(FREE);
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let mut inflater = INFLATER.take().unwrap_or_else(|| Decompress::new(false));
    let mut rest = data;
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
            // It needs no tail.
            Status::StreamEnd => break,
            _ if rest.is_empty() && !is_full => {
                check_end(&mut inflater)?;
                break;
            }
            _ if read == 0 && output.len() == written && !is_full => {
                return Err(InflateError::Invalid);
            }
            _ => {}
        }
    }
    inflater.reset(false);
    INFLATER.set(Some(inflater));
    output.shrink_to_fit();
    Ok(output)
}

/// Checks that a stream without its tail is complete: the tail is the empty block that the sender
/// has omitted, and neither the rest of a block nor a part of a symbol.
fn check_end(inflater: &mut Decompress) -> Result<(), InflateError> {
    let (read, written) = (inflater.total_in(), inflater.total_out());
    let status = inflater.decompress(&END, &mut [0; 16], FlushDecompress::Sync);
    let is_end = matches!(status, Ok(Status::StreamEnd))
        && inflater.total_in() - read == END.len() as u64
        && inflater.total_out() == written;
    is_end.then_some(()).ok_or(InflateError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::Index};
    use std::io::Read;

    fn deflate(window_bits: u8) -> Deflate {
        let max_window_bits = Some(window_bits);
        Deflate { max_window_bits }
    }

    #[test]
    fn clones_of_a_payload_share_one_compressed_copy() {
        let payload = Bytes::from(vec![b'x'; 1000]);
        let clone = payload.clone();

        let first = deflate(15).compress(&payload).unwrap();
        let second = deflate(15).compress(&clone).unwrap();
        let smaller = deflate(9).compress(&clone).unwrap();

        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_ne!(first.as_ptr(), smaller.as_ptr());
    }

    #[test]
    fn a_burst_of_messages_to_several_connections_compresses_each_once() {
        let messages: Vec<_> = (0..500)
            .map(|number| Bytes::from(format!("{number} ").repeat(100)))
            .collect();
        // Each connection has another window, and handles all events before the next one does.
        let compress = |window_bits| -> Vec<_> {
            let compressed = messages
                .iter()
                .map(|one| deflate(window_bits).compress(one));
            compressed.map(|one| one.unwrap().as_ptr()).collect()
        };
        let _others = messages.clone();

        let first = [compress(15), compress(9)];
        let second = [compress(15), compress(9)];

        assert!(first == second, "a message was compressed again");
    }

    #[test]
    fn copies_are_bounded_and_end_with_their_payloads() {
        let mut copies = Copies::new();
        let large = vec![b'x'; MAX_COPIED];
        let held: Vec<_> = (0..100).map(|_| Bytes::from(large.clone())).collect();

        for payload in &held {
            copies.of(payload, 15);
        }
        assert_eq!(copies.list.len(), COPIED_BYTES / MAX_COPIED);
        let sum: usize = copies.list.iter().map(|copy| copy.payload.len()).sum();
        assert_eq!(copies.bytes, sum);

        drop(held);
        for _ in 0..2 * COPIES {
            copies.of(&Bytes::from(vec![b'x']), 15);
        }
        assert_eq!(
            (copies.list.len(), copies.bytes),
            (1, 1),
            "the last one is not checked yet"
        );
    }

    #[test]
    fn what_compression_makes_no_smaller_is_not_compressed() {
        let noise = incompressible(1000, 1);

        for payload in [Bytes::new(), Bytes::from("ahoy"), noise.into()] {
            assert_eq!(deflate(15).compress(&payload), None);
        }
    }

    /// Returns a block that is not compressed, and says that it has `length` bytes (RFC 1951,
    /// 3.2.4).
    fn stored(length: u16, bytes: &[u8]) -> Vec<u8> {
        [
            &[0][..],
            &length.to_le_bytes(),
            &(!length).to_le_bytes(),
            bytes,
        ]
        .concat()
    }

    #[test]
    fn a_stream_that_ends_within_a_block_does_not_inflate() {
        let text = b"abcdefghijklmnopqrstuvwxyz0123456789".repeat(3);
        let whole = compress(&text, 15).unwrap();
        let mut invalid = vec![
            (
                "a stored block of 100 bytes with 10",
                stored(100, b"0123456789"),
            ),
            ("a stored block whose 4 bytes are the tail", stored(4, b"")),
            ("a stored block whose header is the tail", vec![0, 4]),
            ("the header of a block", vec![4]),
        ];
        for cut in 1..whole.len() {
            invalid.push(("compressed text", whole[..cut].to_vec()));
        }

        for (what, data) in invalid {
            let result = inflate(&data, 1000);
            assert!(
                matches!(result, Err(InflateError::Invalid)),
                "{what}: {data:x?}: {result:?}"
            );
        }
        assert_eq!(inflate(&whole, 1000).unwrap(), text);
    }

    #[test]
    fn complete_streams_of_any_block_inflate() {
        let final_block = b"\xf3\x48\xcd\xc9\xc9\x07\x00";
        for (what, data, expected) in [
            ("no block", vec![], &b""[..]),
            ("the empty message of RFC 7692, 7.2.3.6", vec![0], b""),
            (
                "a stored block",
                [stored(5, b"Hello"), vec![0]].concat(),
                b"Hello",
            ),
            (
                "a final block, as in RFC 7692, 7.2.3.4",
                [&final_block[..], &[0]].concat(),
                b"Hello",
            ),
            (
                "a final block without the byte after it",
                final_block.to_vec(),
                b"Hello",
            ),
            (
                "two final blocks",
                [&final_block[..], final_block, &[0]].concat(),
                b"HelloHello",
            ),
        ] {
            assert_eq!(inflate(&data, 1000).expect(what), expected, "{what}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn a_compressed_payload_inflates_to_itself_whatever_was_compressed_before(
            words in vec("[a-d]{1,9}|.{0,40}", 0..100),
            copies in 1..9usize,
            window_bits in 9..=15u8,
            abandoned in proptest::option::of((15..=20u32, any::<u32>())),
        ) {
            let text = words.concat().repeat(copies);
            let payload = Bytes::from(text.clone());
            if let Some((power, seed)) = abandoned {
                let noise = incompressible((1 << power) - TAIL.len(), seed);
                prop_assert!(compress(&noise, window_bits).is_none());
            }

            if let Some(compressed) = deflate(window_bits).compress(&payload) {
                let inflated = inflate(&compressed, text.len()).unwrap();
                prop_assert!(inflated == text.as_bytes());
                let result = inflate(&compressed, text.len() - 1);
                prop_assert!(matches!(result, Err(InflateError::TooLarge)));
            }
        }

        #[test]
        fn a_stream_inflates_to_the_same_bytes_or_not_at_all_whatever_the_limit(
            data in streams(),
            limit in 0..200_000usize,
        ) {
            let unlimited = inflate(&data, usize::MAX);

            match (unlimited, inflate(&data, limit)) {
                (Ok(whole), Ok(inflated)) => {
                    prop_assert!(inflated == whole && whole.len() <= limit);
                }
                (Ok(whole), Err(InflateError::TooLarge)) => prop_assert!(whole.len() > limit),
                (Err(InflateError::Invalid), Err(InflateError::Invalid | InflateError::TooLarge))
                | (Err(InflateError::Ratio), Err(InflateError::Ratio | InflateError::TooLarge)) => {}
                (unlimited, limited) => {
                    let lengths = (unlimited.map(|data| data.len()), limited.map(|data| data.len()));
                    prop_assert!(false, "{lengths:?}");
                }
            }
        }

        #[test]
        fn a_stream_inflates_to_what_another_decoder_reads(data in streams()) {
            if let Ok(inflated) = inflate(&data, usize::MAX) && !data.is_empty() {
                // It reads no further than the first final block.
                let stream = [&data[..], &END].concat();
                let mut decoder = flate2::read::DeflateDecoder::new(&stream[..]);
                let mut first = Vec::new();
                decoder.read_to_end(&mut first).expect("a stream");
                prop_assert!(inflated.starts_with(&first));
                let is_all = decoder.total_in() > data.len() as u64;
                prop_assert!(!is_all || inflated == first);
            }
        }
    }

    /// Returns random bytes of 144 to 255, which take 9 bits each (RFC 1951, 3.2.6): just below a
    /// power of two, the compression stops as soon as the output is as large.
    fn incompressible(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        let bytes = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            144 + (state % 112) as u8
        });
        bytes.take(length).collect()
    }

    /// Any streams: noise, compressed text, stored blocks and bombs, one after another; some with a
    /// byte that is another one, some without their end.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let compressed = |text: Vec<u8>| compress_any(&text);
        let piece = prop_oneof![
            1 => vec(any::<u8>(), 0..50),
            4 => "([a-d]{1,9}|.{0,9}){0,60}".prop_map(String::into_bytes).prop_map(compressed),
            1 => vec(any::<u8>(), 0..300).prop_map(|bytes| stored(bytes.len() as u16, &bytes)),
            1 => (0..1_000_000usize).prop_map(|size| compress_any(&vec![0; size])),
            // A final block.
            1 => Just(b"\xf3\x48\xcd\xc9\xc9\x07\x00".to_vec()),
        ];
        let change = proptest::option::weighted(0.3, (any::<Index>(), any::<u8>()));
        let end = proptest::option::weighted(0.2, any::<Index>());
        (vec(piece, 0..4), change, end).prop_map(|(pieces, change, end)| {
            let mut stream = pieces.concat();
            match stream.strip_suffix(&TAIL) {
                Some(without) => stream.truncate(without.len()),
                // The start of the block that the tail ends.
                None => stream.push(0),
            }
            if let Some((at, byte)) = change.filter(|_| !stream.is_empty()) {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            if let Some(end) = end {
                stream.truncate(end.index(stream.len() + 1));
            }
            stream
        })
    }

    /// Compresses a payload, with the tail that messages omit, so that another block may follow.
    fn compress_any(payload: &[u8]) -> Vec<u8> {
        let mut compressor = Compress::new(Level::fast(), false);
        let mut output = Vec::with_capacity(payload.len() + 100);
        let status = compressor.compress_vec(payload, &mut output, FlushCompress::Sync);
        status.expect("a new compressor accepts any input");
        output
    }
}
