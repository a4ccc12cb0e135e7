//! Tests of the frame reader: a table per rule, and properties over any bytes and any reads.

use super::*;
use flate2::{Compress, Compression, FlushCompress};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

/// More frames than any message of these tests has.
const FRAGMENTS: u32 = 1_000_000;

/// Returns a masked client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// Returns the first message or control frame.
fn read(bytes: &[u8]) -> Result<Option<Incoming>, Close> {
    let mut reader = Reader::new(1000, FRAGMENTS, false);
    reader.feed(bytes);
    loop {
        match reader.next()? {
            Some(Incoming::Fragment) => {}
            read => return Ok(read),
        }
    }
}

fn code(bytes: &[u8]) -> u16 {
    read(bytes).expect_err("it was accepted").code
}

#[test]
fn the_rfcs_own_masked_hello_is_read() {
    let hello = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];

    assert_eq!(
        read(&hello),
        Ok(Some(Incoming::Message(Message::text("Hello"))))
    );
}

#[test]
fn each_frame_is_counted_once() {
    let mut reader = Reader::new(1000, FRAGMENTS, false);
    reader.feed(&[frame(0x01, b"a"), frame(0x89, b""), frame(0x80, b"b")].concat());

    while reader.next().unwrap().is_some() {}

    assert_eq!((reader.take_frames(), reader.take_frames()), (3, 0));
}

#[test]
fn the_start_of_a_header_does_not_keep_the_memory_of_a_whole_read() {
    let mut reader = Reader::new(100_000, FRAGMENTS, false);
    reader.feed(&[frame(0x82, &[7; 60_000]), vec![0x82]].concat());

    assert!(reader.next().unwrap().is_some());
    assert_eq!(reader.next().unwrap(), None);

    assert!(
        reader.buffer.capacity() < 100,
        "{}",
        reader.buffer.capacity()
    );
}

#[test]
fn a_message_may_come_byte_by_byte_and_in_fragments() {
    let bytes = [
        frame(0x01, "caf\u{e9}".as_bytes().split_at(4).0),
        frame(0x89, b"still there?"),
        frame(0x80, "caf\u{e9}".as_bytes().split_at(4).1),
    ]
    .concat();
    let mut reader = Reader::new(1000, FRAGMENTS, false);
    let mut messages = Vec::new();

    for byte in bytes {
        reader.feed(&[byte]);
        messages.extend(reader.next().unwrap());
    }

    let ping = Control::Ping("still there?".into());
    assert_eq!(
        messages,
        [
            Incoming::Fragment,
            Incoming::Control(ping),
            Incoming::Message(Message::text("caf\u{e9}"))
        ]
    );
    assert_eq!(reader.buffer.capacity(), 0);
}

#[test]
fn the_memory_of_a_short_read_is_that_of_the_next_one() {
    let (mut first, mut second) = (
        Reader::new(1000, FRAGMENTS, false),
        Reader::new(1000, FRAGMENTS, false),
    );
    first.feed(&frame(0x81, b"one"));
    let memory = first.buffer.as_ptr();
    assert!(matches!(first.next(), Ok(Some(Incoming::Message(_)))));
    assert_eq!(first.next(), Ok(None));
    assert_eq!(first.buffer.capacity(), 0);

    second.feed(&frame(0x81, b"two"));

    assert_eq!(second.buffer.as_ptr(), memory);
    assert!(matches!(second.next(), Ok(Some(Incoming::Message(_)))));
}

#[test]
fn many_messages_in_one_read_come_out_in_order() {
    let mut reader = Reader::new(1000, FRAGMENTS, false);
    for number in 0..100u8 {
        reader.feed(&frame(0x82, &vec![number; number as usize * 5]));
    }

    for number in 0..100u8 {
        let expected = Message::binary(vec![number; number as usize * 5]);
        assert_eq!(reader.next(), Ok(Some(Incoming::Message(expected))));
    }
    assert_eq!(reader.next(), Ok(None));
}

#[test]
fn each_broken_rule_has_its_code() {
    let mut unmasked = vec![0x81, 0x02];
    unmasked.extend(b"hi");
    for (what, bytes, expected) in [
        ("no mask", unmasked, 1002),
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("an unknown data opcode", frame(0x83, b"x"), 1002),
        ("an unknown control opcode", frame(0x8b, b"x"), 1002),
        ("a fragmented ping", frame(0x09, b"x"), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("a lone continuation", frame(0x80, b"x"), 1002),
        (
            "a message inside a fragmented message",
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
            1002,
        ),
        ("bad text", frame(0x81, b"\xff"), 1007),
        ("bad text in a first fragment", frame(0x01, b"\xff"), 1007),
        ("text cut inside a character", frame(0x81, b"\xc3"), 1007),
        ("a large message", frame(0x82, &[0; 1001]), 1009),
        (
            "a large message in fragments",
            [frame(0x02, &[0; 600]), frame(0x80, &[0; 600])].concat(),
            1009,
        ),
        ("a close payload of 1 byte", frame(0x88, b"\x03"), 1002),
        ("a reserved close code", frame(0x88, b"\x03\xed"), 1002),
        ("bad text in a reason", frame(0x88, b"\x03\xe8\xff"), 1007),
    ] {
        assert_eq!(code(&bytes), expected, "{what}");
    }
}

/// Returns the header of a masked frame whose length is written in 8 bytes, whatever it is.
fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0xff];
    bytes.extend(length.to_be_bytes());
    bytes.extend([1, 2, 3, 4]);
    bytes
}

#[test]
fn text_that_is_not_utf_8_is_rejected_before_its_frame_is_complete() {
    let mut reader = Reader::new(1000, FRAGMENTS, false);
    let bytes = frame(0x81, b"caf\xc3\xa9 \xc3\xff and more");

    for byte in &bytes[..6 + 6] {
        reader.feed(&[*byte]);
        assert_eq!(reader.next(), Ok(None));
    }
    reader.feed(&bytes[12..14]);

    assert_eq!(reader.next().unwrap_err().code, 1007);
}

#[test]
fn a_message_over_the_limit_is_rejected_at_its_header() {
    const LIMIT: u64 = 100_000;
    for (begun, announces, expected) in [
        (None, LIMIT, None),
        (None, LIMIT + 1, Some(1009)),
        (None, u64::MAX >> 1, Some(1009)),
        (Some(1), LIMIT - 1, None),
        (Some(1), LIMIT, Some(1009)),
        (Some(64), u64::MAX >> 1, Some(1009)),
    ] {
        let mut reader = Reader::new(LIMIT as usize, FRAGMENTS, false);
        if let Some(size) = begun {
            reader.feed(&frame(0x02, &vec![0; size]));
            assert_eq!(reader.next(), Ok(Some(Incoming::Fragment)));
        }
        let opcode = if begun.is_some() { 0x80 } else { 0x82 };

        reader.feed(&announced(opcode, announces));

        let code = reader.next().err().map(|close| close.code);
        assert_eq!(code, expected, "{begun:?} and then {announces}");
    }
}

#[test]
fn a_message_of_more_frames_than_the_limit_is_too_large_even_if_they_are_empty() {
    for (continued, expected) in [(2, None), (3, Some(1009))] {
        let mut reader = Reader::new(1000, 3, false);
        // Control frames between them do not count, nor do those of an earlier message.
        reader.feed(&[frame(0x01, b""), frame(0x80, b""), frame(0x01, b"")].concat());
        for _ in 0..continued {
            reader.feed(&[frame(0x89, b""), frame(0x00, b"")].concat());
        }

        let read = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(close) => break Some(close.code),
            }
        };
        assert_eq!(read, expected, "{continued} after the first");
    }
}

#[test]
fn a_length_whose_top_bit_is_set_breaks_the_protocol() {
    // With the 64 bytes of the first fragment this announced size adds up to 0, with 1 byte the
    // next one does.
    for (begun, announces) in [(64, 64u64.wrapping_neg()), (1, u64::MAX), (0, 1 << 63)] {
        let mut reader = Reader::new(1000, FRAGMENTS, false);
        reader.feed(&frame(0x02, &vec![0; begun]));
        assert_eq!(reader.next(), Ok(Some(Incoming::Fragment)));

        reader.feed(&announced(0x80, announces));

        let close = reader.next().expect_err("it was accepted");
        assert_eq!(close.code, 1002, "{announces}");
    }
}

#[test]
fn a_length_is_written_in_as_few_bytes_as_it_needs() {
    let in_two_bytes = |length: u16| {
        let mut bytes = vec![0x82, 0xfe];
        bytes.extend(length.to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        bytes
    };
    for (bytes, expected) in [
        (in_two_bytes(0), Some(1002)),
        (in_two_bytes(125), Some(1002)),
        (in_two_bytes(126), None),
        (announced(0x82, 0), Some(1002)),
        (announced(0x82, 126), Some(1002)),
        (announced(0x82, 65_535), Some(1002)),
        (announced(0x82, 65_536), None),
    ] {
        let mut reader = Reader::new(100_000, FRAGMENTS, false);

        reader.feed(&bytes);

        let code = reader.next().err().map(|close| close.code);
        assert_eq!(code, expected, "{bytes:?}");
    }
}

#[test]
fn a_close_frame_has_a_code_or_none() {
    let close = |payload: &[u8]| read(&frame(0x88, payload)).unwrap().unwrap();

    let none = Incoming::Control(Control::Close(Close::from(1005)));
    assert_eq!(close(b""), none);
    let away = Incoming::Control(Control::Close(Close::new(1001, "bye")));
    assert_eq!(close(b"\x03\xe9bye"), away);
}

const LIMIT: usize = 300;

/// Returns all messages and control frames of these reads, and the error that ends them.
/// Asserts that the memory of the reader is within its bound.
fn read_all(reads: &[&[u8]], inflates: bool) -> (Vec<Incoming>, Option<Close>) {
    /// The longest frame that may come between the fragments of a message at the limit, or the
    /// longest header.
    const ASIDE: usize = 14 + MAX_CONTROL as usize;
    let mut reader = Reader::new(LIMIT, FRAGMENTS, inflates);
    let mut messages = Vec::new();
    let mut largest_read = 0;
    for read in reads {
        largest_read = largest_read.max(read.len());
        reader.feed(read);
        loop {
            match reader.next() {
                Ok(Some(Incoming::Fragment)) => {}
                Ok(Some(incoming)) => {
                    if let Incoming::Message(message) = &incoming {
                        assert!(message.payload().len() <= LIMIT, "a message over the limit");
                    }
                    messages.push(incoming);
                }
                Ok(None) => break,
                Err(close) => return (messages, Some(close)),
            }
        }
        let message = reader.message.as_ref().map(|message| &message.data);
        let control = reader.frame.as_ref().map_or(0, |frame| frame.control.len());
        let held = reader.buffer.len() + control + message.map_or(0, Vec::len);
        assert!(held <= LIMIT + ASIDE, "{held} bytes are held");
        // A `Vec` grows by doubling.
        let allocated = reader.buffer.capacity();
        let most = 2 * (LIMIT + ASIDE + largest_read);
        assert!(allocated <= most, "{allocated} bytes are allocated");
        let allocated = message.map_or(0, Vec::capacity);
        assert!(allocated <= 2 * LIMIT, "{allocated} bytes for a message");
    }
    (messages, None)
}

/// Splits bytes into reads.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2)
        .map(|ends| &bytes[ends[0]..ends[1]])
        .collect()
}

/// Compresses a payload of any kind as a client without context takeover does (RFC 7692, 7.2.1).
fn compress(payload: &[u8]) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::fast(), false);
    let mut output = Vec::with_capacity(payload.len() + 100);
    let status = compressor.compress_vec(payload, &mut output, FlushCompress::Sync);
    status.expect("a new compressor accepts any input");
    assert_eq!(compressor.total_in(), payload.len() as u64);
    let length = output.strip_suffix(&[0, 0, 0xff, 0xff]).map(<[u8]>::len);
    output.truncate(length.expect("a flushed stream ends with its tail"));
    output
}

/// Compressed payloads: text, noise, bombs, and streams in which a byte is another one.
fn compressed() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        "([a-d]{1,9}|.{0,9}){0,60}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200),
        (0..100_000usize).prop_map(|size| vec![b'x'; size]),
    ];
    let change = proptest::option::weighted(0.2, (any::<Index>(), any::<u8>()));
    (payload, change).prop_map(|(payload, change)| {
        let mut stream = compress(&payload);
        if let Some((at, byte)) = change.filter(|_| !stream.is_empty()) {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    })
}

/// Any bytes: noise, frames, compressed messages, and headers that announce a payload that does not
/// follow, with the smallest and largest lengths, too.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let first = || {
        let usual = select(&[0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0xc1, 0xc2][..]);
        prop_oneof![4 => usual, 1 => any::<u8>()]
    };
    let compressed = (
        select(&[0x41, 0x42][..]),
        compressed(),
        vec(any::<Index>(), 0..4),
    )
        .prop_map(|(opcode, data, cuts)| fragments(opcode, &data, &cuts).concat());
    let nonsense = vec(any::<u8>(), 0..40);
    let frames =
        (first(), vec(any::<u8>(), 0..200)).prop_map(|(first, payload)| frame(first, &payload));
    let length = prop_oneof![
        (any::<u64>(), 0..64u32).prop_map(|(length, shift)| length >> shift),
        (0..1000u64).prop_map(u64::wrapping_neg),
    ];
    let headers = (first(), length).prop_map(|(first, length)| announced(first, length));
    let piece = prop_oneof![1 => nonsense, 6 => frames, 4 => compressed, 2 => headers];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// One message within the limit, as it is sent: in fragments, compressed or not.
fn message() -> impl Strategy<Value = (Incoming, Vec<Vec<u8>>)> {
    let data = prop_oneof![
        // Compression makes noise larger by an eighth.
        vec(any::<u8>(), 0..LIMIT * 5 / 6).prop_map(Message::binary),
        ".{0,60}".prop_map(Message::text),
    ];
    let form = (any::<bool>(), vec(any::<Index>(), 0..4));
    (data, form).prop_map(|(message, (is_compressed, cuts))| {
        let opcode = if message.is_text() { 0x01 } else { 0x02 };
        let data = message.payload();
        let frames = match is_compressed {
            true => fragments(0x40 | opcode, &compress(data), &cuts),
            false => fragments(opcode, data, &cuts),
        };
        (Incoming::Message(message), frames)
    })
}

fn fragments(opcode: u8, data: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let parts = cut(data, cuts);
    let last = parts.len() - 1;
    let fragment = |(index, part): (usize, &&[u8])| {
        let opcode = if index == 0 { opcode } else { 0x00 };
        let is_final = if index == last { 0x80 } else { 0x00 };
        frame(opcode | is_final, part)
    };
    parts.iter().enumerate().map(fragment).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes_in_any_reads_are_read_as_in_one(
        bytes in anything(),
        cuts in vec(any::<Index>(), 0..20),
        inflates: bool,
    ) {
        let whole = read_all(&[&bytes], inflates);

        prop_assert_eq!(read_all(&cut(&bytes, &cuts), inflates), whole);
    }

    #[test]
    fn valid_messages_arrive_in_any_reads(
        messages in vec((message(), vec(any::<u8>(), 0..=125)), 0..5),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for ((message, frames), ping) in messages {
            // The ping precedes the last fragment, so it is read before the message.
            let (last, others) = frames.split_last().unwrap();
            bytes.extend(others.concat());
            bytes.extend(frame(0x89, &ping));
            bytes.extend(last);
            expected.push(Incoming::Control(Control::Ping(ping.into())));
            expected.push(message);
        }

        prop_assert_eq!(read_all(&cut(&bytes, &cuts), true), (expected, None));
    }
}
