//! The frame reader: parses, checks, unmasks and assembles frames (RFC 6455, 5), without I/O.

use super::deflate::{InflateError, MAX_RATIO, inflate};
use crate::message::{Close, Message, Text};
use bytes::Bytes;
use std::{cell::Cell, io::Cursor, mem};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control as ControlCode, Data, OpCode},
};

#[cfg(test)]
mod tests;

/// What a frame from the client leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Message),
    /// A part of a message whose last frame is still to come.
    Fragment,
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

/// The longest header of a frame.
const MAX_HEADER: usize = 14;

/// How much memory a thread keeps for the next reader that needs some, in bytes.
const SPARE: usize = 4 * 1024;

thread_local! {
    /// The buffer of the last reader of this thread that became idle: most reads are parsed to the
    /// end at once, so the next reader needs no allocation.
    static SPARE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The frame and the message that are being received, and the bytes that were not parsed yet.
///
/// A payload is unmasked and checked as it arrives: text that is not UTF-8 is rejected before its
/// frame is complete. Nothing is allocated for a length that a header merely announces; an idle
/// reader owns no memory. It never holds more than `max_message_size`, a control frame and the
/// bytes fed last, whose buffer may have a capacity of `SPARE` bytes if they are fewer.
pub(super) struct Reader {
    buffer: Vec<u8>,
    position: usize,
    /// Boxed, since most frames arrive whole.
    frame: Option<Box<Frame>>,
    message: Option<Fragments>,
    max_message_size: usize,
    max_fragments: u32,
    /// How many frames were read since the last call of `take_frames`.
    frames: u32,
    /// Whether permessage-deflate was negotiated (RFC 7692).
    inflates: bool,
}

/// A frame whose header was read.
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// How many bytes of the payload were not received yet.
    remaining: usize,
    /// The payload of a control frame; a data frame's goes to the message.
    control: Vec<u8>,
}

/// A message that was not received completely.
struct Fragments {
    is_text: bool,
    is_compressed: bool,
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8.
    valid: usize,
    /// The number of frames so far.
    frames: u32,
}

impl Reader {
    pub(super) fn new(max_message_size: usize, max_fragments: u32, inflates: bool) -> Self {
        Self {
            buffer: Vec::new(),
            position: 0,
            frame: None,
            message: None,
            max_message_size,
            max_fragments,
            frames: 0,
            inflates,
        }
    }

    /// Appends received bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() == 0 && bytes.len() <= SPARE {
            self.buffer = SPARE_BUFFER.try_with(Cell::take).unwrap_or_default();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns how many frames were read since the last call.
    pub(super) fn take_frames(&mut self) -> u32 {
        mem::take(&mut self.frames)
    }

    /// Reads one frame, or returns `None` until more bytes are fed.
    ///
    /// # Errors
    /// The close code and reason with which the connection has to end.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Close> {
        let frame = match self.frame.take() {
            Some(frame) => *frame,
            None => match self.header()? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        let Some(frame) = self.payload(frame)? else {
            return Ok(None);
        };
        Ok(Some(match frame.opcode {
            OpCode::Control(code) => control(code, frame.control)?,
            OpCode::Data(_) if !frame.is_final => Incoming::Fragment,
            OpCode::Data(_) => {
                let message = self.message.take();
                let message = message.expect("a data frame begins or continues a message");
                Incoming::Message(message.complete(self.max_message_size)?)
            }
        }))
    }

    /// Reads the header of the next frame, and begins the message of a first fragment.
    fn header(&mut self) -> Result<Option<Frame>, Close> {
        let mut cursor = Cursor::new(&self.buffer[self.position..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("unknown opcode"))?;
        let Some((header, length)) = parsed else {
            self.compact();
            return Ok(None);
        };
        let header_size = cursor.position() as usize;
        let remaining = self.check(&header, header_size, length)?;
        let mask = header.mask.expect("an unmasked frame was rejected");
        self.position += header_size;
        self.frames = self.frames.saturating_add(1);
        match (header.opcode, &mut self.message) {
            (OpCode::Data(data @ (Data::Text | Data::Binary)), message) => {
                *message = Some(Fragments {
                    is_text: matches!(data, Data::Text),
                    is_compressed: header.rsv1,
                    data: Vec::new(),
                    valid: 0,
                    frames: 1,
                });
            }
            (OpCode::Data(_), Some(message)) => message.frames += 1,
            _ => {}
        }
        Ok(Some(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            mask,
            remaining,
            control: Vec::new(),
        }))
    }

    /// Moves the received part of a payload out of the buffer; returns the frame once its payload
    /// is complete.
    fn payload(&mut self, mut frame: Frame) -> Result<Option<Frame>, Close> {
        let unread = &self.buffer[self.position..];
        let part = &unread[..frame.remaining.min(unread.len())];
        let target = match (&frame.opcode, &mut self.message) {
            (OpCode::Data(_), Some(message)) => &mut message.data,
            _ => &mut frame.control,
        };
        let begun = target.len();
        target.extend_from_slice(part);
        unmask(&mut target[begun..], frame.mask);
        frame.mask.rotate_left(part.len() % 4);
        frame.remaining -= part.len();
        self.position += part.len();
        if self.position == self.buffer.len() {
            self.compact();
        }
        let is_complete = frame.remaining == 0;
        if let (OpCode::Data(_), Some(message)) = (&frame.opcode, &mut self.message)
            && !(is_complete && frame.is_final)
        {
            message.check_text()?;
        }
        if is_complete {
            return Ok(Some(frame));
        }
        self.frame = Some(Box::new(frame));
        Ok(None)
    }

    /// Checks a frame's header against RFC 6455, 5; returns the payload's length once it is known
    /// to be within the limit. Its sums cannot overflow, whatever the client announces.
    fn check(&self, header: &FrameHeader, header_size: usize, length: u64) -> Result<usize, Close> {
        // Only the first frame of a message says whether it is compressed (RFC 7692, 6.1).
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv1 && !(self.inflates && begins) || header.rsv2 || header.rsv3 {
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
                (Data::Continue, Some(begun)) if begun.frames >= self.max_fragments => {
                    let limit = self.max_fragments;
                    let reason = format!("the message has more than {limit} fragments");
                    return Err(Close::new(Close::TOO_LARGE, reason));
                }
                (Data::Continue, Some(begun)) => {
                    self.max_message_size.saturating_sub(begun.data.len())
                }
                (_, Some(_)) => return Err(protocol("a message inside a fragmented message")),
                (_, None) => self.max_message_size,
            },
        };
        match usize::try_from(length) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(too_large(self.max_message_size)),
        }
    }

    /// Discards the bytes that were read; the reader keeps no empty buffer.
    fn compact(&mut self) {
        if self.position == self.buffer.len() {
            let mut buffer = mem::take(&mut self.buffer);
            if (1..=SPARE).contains(&buffer.capacity()) {
                buffer.clear();
                // At the end of a thread there may be no place for it any more.
                _ = SPARE_BUFFER.try_with(|spare| spare.set(buffer));
            }
        } else {
            self.buffer.drain(..self.position);
            // Less than a header is left: it needs no room for a whole read.
            self.buffer.shrink_to(MAX_HEADER);
        }
        self.position = 0;
    }
}

impl Fragments {
    /// Checks the text so far. It may end inside a character; anything else that is not UTF-8 is an
    /// error at once.
    fn check_text(&mut self) -> Result<(), Close> {
        if !self.is_text || self.is_compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.data[self.valid..]) {
            Ok(_) => self.valid = self.data.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(not_utf8()),
        }
        Ok(())
    }

    fn complete(self, max_message_size: usize) -> Result<Message, Close> {
        let data = match self.is_compressed {
            true => inflate(&self.data, max_message_size).map_err(|error| match error {
                InflateError::Invalid => Close::new(Close::INVALID, "invalid deflate data"),
                InflateError::TooLarge => too_large(max_message_size),
                InflateError::Ratio => {
                    let reason = format!("the message inflates to over {MAX_RATIO} times its size");
                    Close::new(Close::TOO_LARGE, reason)
                }
            })?,
            false => self.data,
        };
        match self.is_text {
            true => Text::from_utf8(data)
                .map(Message::Text)
                .ok_or_else(not_utf8),
            false => Ok(Message::Binary(data.into())),
        }
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

/// Returns the close of a client whose message exceeds the limit, in bytes.
pub(crate) fn too_large(limit: usize) -> Close {
    let reason = format!("the message is larger than {limit} bytes");
    Close::new(Close::TOO_LARGE, reason)
}
