//! Bytes in: frames are parsed, checked, unmasked and put together (RFC 6455, 5). No I/O.

use crate::frame::{Close, Frame, Text};
use bytes::Bytes;
use std::io::Cursor;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control as ControlCode, Data, OpCode},
};

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Frame(Frame),
    Control(Control),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    Ping(Bytes),
    Pong,
    Close(Close),
}

/// Bytes that are no frame yet, and fragments that are no message yet.
///
/// Nothing is allocated for what a header merely announces; an idle reader owns no memory.
pub(super) struct Reader {
    buffer: Vec<u8>,
    position: usize,
    message: Option<Message>,
    max_message_size: usize,
}

/// A message whose last fragment has not come yet.
struct Message {
    is_text: bool,
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8: bad text is refused at its fragment.
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

    /// Takes what has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next thing the client said; `None` until more has come; an error is how the connection has to end.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Close> {
        while let Some((header, payload)) = self.frame()? {
            match header.opcode {
                OpCode::Control(code) => return control(code, payload).map(Some),
                OpCode::Data(data) => {
                    if let Some(frame) = self.assemble(data, header.is_final, payload)? {
                        return Ok(Some(Incoming::Frame(frame)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// One frame off the buffer, checked as soon as its header is there and unmasked once it is whole.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, Close> {
        let unread = &self.buffer[self.position..];
        let mut cursor = Cursor::new(unread);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("unknown opcode"))?;
        let Some((header, length)) = parsed else {
            self.compact();
            return Ok(None);
        };
        self.check(&header, length)?;
        let start = cursor.position() as usize;
        // It passed the size check, so it fits a usize.
        let end = start + length as usize;
        if unread.len() < end {
            self.compact();
            return Ok(None);
        }
        let mut payload = unread[start..end].to_vec();
        if let Some(mask) = header.mask {
            unmask(&mut payload, mask);
        }
        self.position += end;
        if self.position == self.buffer.len() {
            self.compact();
        }
        Ok(Some((header, payload)))
    }

    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Close> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("reserved bits without an extension"));
        }
        if header.mask.is_none() {
            return Err(protocol("a client's frames are masked"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => Err(protocol("a fragmented control frame")),
            OpCode::Control(_) if length > 125 => Err(protocol("a control frame over 125 bytes")),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(data) => {
                let begun = self.message.as_ref().map(|message| message.data.len());
                match (data, begun) {
                    (Data::Continue, None) => Err(protocol("a continuation of nothing")),
                    (Data::Text | Data::Binary, Some(_)) => {
                        Err(protocol("a message inside a message"))
                    }
                    _ if begun.unwrap_or(0) as u64 + length > self.max_message_size as u64 => {
                        let limit = self.max_message_size;
                        let reason = format!("a message is at most {limit} bytes here");
                        Err(Close::new(Close::TOO_LARGE, reason))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Adds a fragment; the message, if that was the last.
    fn assemble(
        &mut self,
        data: Data,
        is_final: bool,
        payload: Vec<u8>,
    ) -> Result<Option<Frame>, Close> {
        let mut message = match self.message.take() {
            Some(mut message) => {
                message.data.extend_from_slice(&payload);
                message
            }
            None => Message {
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
            return Ok(Some(Frame::Binary(message.data.into())));
        }
        Text::from_utf8(message.data)
            .map(|text| Some(Frame::Text(text)))
            .ok_or_else(not_utf8)
    }

    /// Forgets what has been read; an empty buffer is given back.
    fn compact(&mut self) {
        if self.position == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.position);
        }
        self.position = 0;
    }
}

impl Message {
    /// A character may be cut by a fragment's end; anything else that is not UTF-8 is an error at once.
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
        ControlCode::Close => Control::Close(goodbye(&payload)?),
        ControlCode::Reserved(_) => return Err(protocol("unknown opcode")),
    };
    Ok(Incoming::Control(control))
}

/// A close frame is empty, or a code and a reason (RFC 6455, 5.5.1).
fn goodbye(payload: &[u8]) -> Result<Close, Close> {
    let (code, reason) = match payload {
        [] => return Ok(Close::from(Close::NO_STATUS)),
        [_] => return Err(protocol("half a close code")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let reason = std::str::from_utf8(reason).map_err(|_| not_utf8())?;
    let close = Close::new(code, reason);
    if close.is_sendable() {
        Ok(close)
    } else {
        Err(protocol("a close code that may not be sent"))
    }
}

/// Sixteen bytes at a time, which compilers turn into one instruction.
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

    /// A masked client frame.
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
        read(bytes).expect_err("it was taken").code
    }

    #[test]
    fn the_rfcs_own_masked_hello_is_read() {
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];

        assert_eq!(
            read(&hello),
            Ok(Some(Incoming::Frame(Frame::text("Hello"))))
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
                Incoming::Frame(Frame::text("caf\u{e9}"))
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
            let expected = Frame::binary(vec![number; number as usize * 5]);
            assert_eq!(reader.next(), Ok(Some(Incoming::Frame(expected))));
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
            ("a continuation of nothing", frame(0x80, b"x"), 1002),
            (
                "a message inside a message",
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
            ("half a close code", frame(0x88, b"\x03"), 1002),
            ("a code that never travels", frame(0x88, b"\x03\xed"), 1002),
            ("bad text in a goodbye", frame(0x88, b"\x03\xe8\xff"), 1007),
        ] {
            assert_eq!(code(&bytes), expected, "{what}");
        }
    }

    #[test]
    fn an_announced_giant_is_refused_before_it_comes() {
        let header = [
            0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
        ];

        assert_eq!(code(&header), 1009);
    }

    #[test]
    fn a_goodbye_has_a_code_or_none() {
        let close = |payload: &[u8]| read(&frame(0x88, payload)).unwrap().unwrap();

        let none = Incoming::Control(Control::Close(Close::from(1005)));
        assert_eq!(close(b""), none);
        let away = Incoming::Control(Control::Close(Close::new(1001, "bye")));
        assert_eq!(close(b"\x03\xe9bye"), away);
    }
}
