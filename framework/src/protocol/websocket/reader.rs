//! The frame reader: parses, checks, unmasks and assembles frames (RFC 6455, 5), without I/O.

use crate::message::{Close, Message, Text};
use bytes::Bytes;
use std::io::Cursor;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control as ControlCode, Data, OpCode},
};

/// A message or control frame from the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Message),
    Control(Control),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    Ping(Bytes),
    Pong,
    Close(Close),
}

/// The largest valid length: the most significant of its 64 bits must be 0 (RFC 6455, 5.2).
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// The longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// The buffer of bytes that are not a frame yet, and of fragments that are not a message yet.
///
/// Nothing is allocated for a length that a header merely announces; an idle reader owns no memory.
/// It never holds more than `max_message_size`, one header and the bytes fed last.
pub(super) struct Reader {
    buffer: Vec<u8>,
    position: usize,
    message: Option<Fragments>,
    max_message_size: usize,
}

/// A message whose last fragment was not received yet.
struct Fragments {
    is_text: bool,
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8: invalid text is rejected at its fragment.
    valid: usize,
}

impl Reader {
    pub(super) fn new(max_message_size: usize) -> Self {
        Self {
            buffer: Vec::new(),
            position: 0,
            message: None,
            max_message_size,
        }
    }

    /// Appends received bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the client's next message or control frame, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// The close code and reason with which the connection has to end.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Close> {
        while let Some((header, payload)) = self.frame()? {
            match header.opcode {
                OpCode::Control(code) => return control(code, payload).map(Some),
                OpCode::Data(data) => {
                    if let Some(frame) = self.assemble(data, header.is_final, payload)? {
                        return Ok(Some(Incoming::Message(frame)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Removes one frame from the buffer, checked as soon as its header is complete and unmasked
    /// once its payload is.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, Close> {
        let unread = &self.buffer[self.position..];
        let mut cursor = Cursor::new(unread);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("unknown opcode"))?;
        let Some((header, length)) = parsed else {
            self.compact();
            return Ok(None);
        };
        let header_size = cursor.position() as usize;
        let length = self.check(&header, header_size, length)?;
        // A slice instead of a sum: a length that the client chose is compared, never added.
        let Some(payload) = unread[header_size..].get(..length) else {
            self.compact();
            return Ok(None);
        };
        let mut payload = payload.to_vec();
        if let Some(mask) = header.mask {
            unmask(&mut payload, mask);
        }
        self.position += header_size + payload.len();
        if self.position == self.buffer.len() {
            self.compact();
        }
        Ok(Some((header, payload)))
    }

    /// Checks a frame's header against RFC 6455, 5; returns the payload's length once it is known
    /// to be within the limit. Its sums cannot overflow, whatever the client announces.
    fn check(&self, header: &FrameHeader, header_size: usize, length: u64) -> Result<usize, Close> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("reserved bits without an extension"));
        }
        if header.mask.is_none() {
            return Err(protocol("client frames must be masked"));
        }
        if length > MAX_LENGTH {
            return Err(protocol("a length of more than 63 bits"));
        }
        if header_size != header.len(length) {
            return Err(protocol("a length that is not minimally encoded"));
        }
        let limit = match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(protocol("a fragmented control frame"));
            }
            OpCode::Control(_) if length > MAX_CONTROL => {
                return Err(protocol("a control frame over 125 bytes"));
            }
            OpCode::Control(_) => usize::MAX,
            OpCode::Data(data) => match (data, &self.message) {
                (Data::Continue, None) => return Err(protocol("a continuation without a message")),
                (Data::Continue, Some(begun)) => {
                    self.max_message_size.saturating_sub(begun.data.len())
                }
                (_, Some(_)) => return Err(protocol("a message inside a fragmented message")),
                (_, None) => self.max_message_size,
            },
        };
        match usize::try_from(length) {
            Ok(length) if length <= limit => Ok(length),
            _ => {
                let reason = format!("the message is larger than {} bytes", self.max_message_size);
                Err(Close::new(Close::TOO_LARGE, reason))
            }
        }
    }

    /// Adds a fragment; returns the message if that was the last one.
    fn assemble(
        &mut self,
        data: Data,
        is_final: bool,
        payload: Vec<u8>,
    ) -> Result<Option<Message>, Close> {
        let mut message = match self.message.take() {
            Some(mut message) => {
                message.data.extend_from_slice(&payload);
                message
            }
            None => Fragments {
                is_text: matches!(data, Data::Text),
                data: payload,
                valid: 0,
            },
        };
        if !is_final {
            message.check_text()?;
            self.message = Some(message);
            return Ok(None);
        }
        if !message.is_text {
            return Ok(Some(Message::Binary(message.data.into())));
        }
        Text::from_utf8(message.data)
            .map(|text| Some(Message::Text(text)))
            .ok_or_else(not_utf8)
    }

    /// Discards the bytes that were read; an empty buffer is deallocated.
    fn compact(&mut self) {
        if self.position == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.position);
        }
        self.position = 0;
    }
}

impl Fragments {
    /// Checks the text so far. A fragment may end inside a character; anything else that is not
    /// UTF-8 is an error at once.
    fn check_text(&mut self) -> Result<(), Close> {
        if !self.is_text {
            return Ok(());
        }
        match std::str::from_utf8(&self.data[self.valid..]) {
            Ok(_) => self.valid = self.data.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(not_utf8()),
        }
        Ok(())
    }
}

fn control(code: ControlCode, payload: Vec<u8>) -> Result<Incoming, Close> {
    let control = match code {
        ControlCode::Ping => Control::Ping(payload.into()),
        ControlCode::Pong => Control::Pong,
        ControlCode::Close => Control::Close(parse_close(&payload)?),
        ControlCode::Reserved(_) => return Err(protocol("unknown opcode")),
    };
    Ok(Incoming::Control(control))
}

/// Parses a close frame, which is empty, or has a code and a reason (RFC 6455, 5.5.1).
fn parse_close(payload: &[u8]) -> Result<Close, Close> {
    let (code, reason) = match payload {
        [] => return Ok(Close::from(Close::NO_STATUS)),
        [_] => return Err(protocol("a close payload of 1 byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let reason = std::str::from_utf8(reason).map_err(|_| not_utf8())?;
    let close = Close::new(code, reason);
    if close.is_sendable() {
        Ok(close)
    } else {
        Err(protocol("a close code that must not be sent"))
    }
}

/// Unmasks 16 bytes at a time, which compilers turn into one instruction.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide: [u8; 16] = std::array::from_fn(|index| mask[index % 4]);
    let mut chunks = payload.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(wide) {
        *byte ^= key;
    }
}

fn protocol(reason: &'static str) -> Close {
    Close::new(Close::PROTOCOL, reason)
}

fn not_utf8() -> Close {
    Close::new(Close::INVALID, "text that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        collection::vec,
        prelude::*,
        sample::{Index, select},
    };

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

    fn read(bytes: &[u8]) -> Result<Option<Incoming>, Close> {
        let mut reader = Reader::new(1000);
        reader.feed(bytes);
        reader.next()
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
    fn a_message_may_come_byte_by_byte_and_in_fragments() {
        let bytes = [
            frame(0x01, "caf\u{e9}".as_bytes().split_at(4).0),
            frame(0x89, b"still there?"),
            frame(0x80, "caf\u{e9}".as_bytes().split_at(4).1),
        ]
        .concat();
        let mut reader = Reader::new(1000);
        let mut heard = Vec::new();

        for byte in bytes {
            reader.feed(&[byte]);
            heard.extend(reader.next().unwrap());
        }

        let ping = Control::Ping("still there?".into());
        assert_eq!(
            heard,
            [
                Incoming::Control(ping),
                Incoming::Message(Message::text("caf\u{e9}"))
            ]
        );
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn many_messages_in_one_read_come_out_in_order() {
        let mut reader = Reader::new(1000);
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
    fn a_message_over_the_limit_is_refused_at_its_header() {
        const LIMIT: u64 = 100_000;
        for (begun, announces, expected) in [
            (None, LIMIT, None),
            (None, LIMIT + 1, Some(1009)),
            (None, u64::MAX >> 1, Some(1009)),
            (Some(1), LIMIT - 1, None),
            (Some(1), LIMIT, Some(1009)),
            (Some(64), u64::MAX >> 1, Some(1009)),
        ] {
            let mut reader = Reader::new(LIMIT as usize);
            if let Some(size) = begun {
                reader.feed(&frame(0x02, &vec![0; size]));
                assert_eq!(reader.next(), Ok(None));
            }
            let opcode = if begun.is_some() { 0x80 } else { 0x82 };

            reader.feed(&announced(opcode, announces));

            let code = reader.next().err().map(|close| close.code);
            assert_eq!(code, expected, "{begun:?} and then {announces}");
        }
    }

    #[test]
    fn a_length_whose_top_bit_is_set_breaks_the_protocol() {
        // With the 64 bytes of the first fragment this announced size adds up to 0, with 1 byte the
        // next one does.
        for (begun, announces) in [(64, 64u64.wrapping_neg()), (1, u64::MAX), (0, 1 << 63)] {
            let mut reader = Reader::new(1000);
            reader.feed(&frame(0x02, &vec![0; begun]));
            assert_eq!(reader.next(), Ok(None));

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
            let mut reader = Reader::new(100_000);

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
    fn read_all(reads: &[&[u8]]) -> (Vec<Incoming>, Option<Close>) {
        /// The longest frame that may come between the fragments of a message at the limit, or the
        /// longest header.
        const ASIDE: usize = 14 + MAX_CONTROL as usize;
        let mut reader = Reader::new(LIMIT);
        let mut heard = Vec::new();
        let mut largest_read = 0;
        for read in reads {
            largest_read = largest_read.max(read.len());
            reader.feed(read);
            loop {
                match reader.next() {
                    Ok(Some(incoming)) => heard.push(incoming),
                    Ok(None) => break,
                    Err(close) => return (heard, Some(close)),
                }
            }
            let message = reader.message.as_ref().map(|message| &message.data);
            let held = reader.buffer.len() + message.map_or(0, Vec::len);
            assert!(held <= LIMIT + ASIDE, "{held} bytes are held");
            // A `Vec` grows by doubling.
            let allocated = reader.buffer.capacity();
            let most = 2 * (LIMIT + ASIDE + largest_read);
            assert!(allocated <= most, "{allocated} bytes are allocated");
            let allocated = message.map_or(0, Vec::capacity);
            assert!(allocated <= 2 * LIMIT, "{allocated} bytes for a message");
        }
        (heard, None)
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

    /// Any bytes: noise, frames, and headers that announce a payload that does not follow, with the
    /// smallest and largest lengths, too.
    fn anything() -> impl Strategy<Value = Vec<u8>> {
        let first = || {
            let usual = select(&[0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89][..]);
            prop_oneof![4 => usual, 1 => any::<u8>()]
        };
        let nonsense = vec(any::<u8>(), 0..40);
        let frames =
            (first(), vec(any::<u8>(), 0..200)).prop_map(|(first, payload)| frame(first, &payload));
        let length = prop_oneof![
            (any::<u64>(), 0..64u32).prop_map(|(length, shift)| length >> shift),
            (0..1000u64).prop_map(u64::wrapping_neg),
        ];
        let headers = (first(), length).prop_map(|(first, length)| announced(first, length));
        let piece = prop_oneof![1 => nonsense, 6 => frames, 2 => headers];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// One message within the limit, as it is sent: in fragments.
    fn message() -> impl Strategy<Value = (Incoming, Vec<Vec<u8>>)> {
        let cuts = || vec(any::<Index>(), 0..4);
        let binary = (vec(any::<u8>(), 0..=LIMIT), cuts()).prop_map(|(data, cuts)| {
            let frames = fragments(0x02, &data, &cuts);
            (Incoming::Message(Message::binary(data)), frames)
        });
        let text = (".{0,60}", cuts()).prop_map(|(text, cuts)| {
            let frames = fragments(0x01, text.as_bytes(), &cuts);
            (Incoming::Message(Message::text(text)), frames)
        });
        prop_oneof![binary, text]
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
        ) {
            let whole = read_all(&[&bytes]);

            prop_assert_eq!(read_all(&cut(&bytes, &cuts)), whole);
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

            prop_assert_eq!(read_all(&cut(&bytes, &cuts)), (expected, None));
        }
    }
}
