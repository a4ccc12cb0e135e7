//! Where the values of a stream of RESP begin and end, and a bound on the size of each.
//!
//! The redis crate collects a value in memory, whatever length it announces, and decodes it when it
//! is whole. So its length is read here first.

use redis::Value;
use std::fmt;

/// The default of the largest value, in bytes.
pub(crate) const MAX_VALUE: usize = 64 * 1024 * 1024;

/// What each element of a value counts besides its bytes: its size in memory.
const ELEMENT: u64 = size_of::<Value>() as u64;

/// The number of arrays and maps that may contain each other; the redis crate decodes 100.
const DEPTH: usize = 128;

/// The boundaries of the values of one stream.
pub(super) struct ReplyFraming {
    max: u64,
    /// What is known of the size of the value that is under way.
    size: u64,
    /// The number of its bytes that have arrived.
    arrived: u64,
    /// The number of elements that are still to come of each array or map around the next element.
    open: Vec<u64>,
    next: Next,
}

/// What the next byte is.
#[derive(Clone, Copy)]
enum Next {
    /// The kind of an element.
    Kind,
    /// A digit of the length of an element of this kind.
    Length(u8, Length),
    /// The inside of a line; whether the last byte was `\r`.
    Line(bool),
    /// One of the last bytes of a string and of the line end after it.
    Body(u64),
}

/// What has arrived of a length: `-1\r\n` and the like, to the letter, as the redis crate reads it.
#[derive(Clone, Copy, Default)]
struct Length {
    value: u64,
    has_digits: bool,
    is_negative: bool,
    /// Whether the last byte was `\r`.
    has_return: bool,
}

/// Why a stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A value is larger than this, in bytes.
    TooLarge(u64),
    /// It is not RESP.
    NotRedis,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(
                f,
                "a value of more than {max} bytes arrived; if it is an event or list of yours, raise \
                 `RedisConfig::max_value_size`"
            ),
            Self::NotRedis => f.write_str(
                "received bytes that are not RESP; check the proxy between this process and Redis",
            ),
        }
    }
}

impl ReplyFraming {
    pub(super) fn new(max_value: usize) -> Self {
        Self {
            max: max_value as u64,
            size: 0,
            arrived: 0,
            open: Vec::new(),
            next: Next::Kind,
        }
    }

    /// Returns how many bytes have arrived of a value that is not whole yet.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Reads the next bytes; returns whether a value has begun or ended in them.
    ///
    /// # Errors
    /// If a value is too large, as soon as it is known, or the bytes are not RESP.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<bool, Malformed> {
        let mut has_boundary = self.arrived == 0;
        while !bytes.is_empty() {
            let (taken, has_ended) = self.step(bytes)?;
            bytes = &bytes[taken..];
            self.arrived += taken as u64;
            if has_ended && self.end_element() {
                has_boundary = true;
                self.size = 0;
                self.arrived = 0;
            }
        }
        Ok(has_boundary)
    }

    /// Reads at least one byte; returns how many, and whether an element has ended with them.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        match self.next {
            Next::Kind => {
                self.next = match bytes[0] {
                    kind @ (b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|') => {
                        Next::Length(kind, Length::default())
                    }
                    b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Next::Line(false),
                    _ => return Err(Malformed::NotRedis),
                };
                self.grow(1)?;
                Ok((1, false))
            }
            Next::Length(kind, length) => self.read_length(kind, length, bytes),
            Next::Line(after_return) => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let taken = end.map_or(bytes.len(), |end| end + 1);
                self.grow(taken as u64)?;
                let is_return = |at: usize| match at.checked_sub(1) {
                    Some(before) => bytes[before] == b'\r',
                    None => after_return,
                };
                let has_ended = end.is_some_and(is_return);
                self.next = match has_ended {
                    true => Next::Kind,
                    false => Next::Line(bytes[taken - 1] == b'\r'),
                };
                Ok((taken, has_ended))
            }
            Next::Body(left) => {
                let taken = left.min(bytes.len() as u64);
                let has_ended = taken == left;
                self.next = match has_ended {
                    true => Next::Kind,
                    false => Next::Body(left - taken),
                };
                Ok((taken as usize, has_ended))
            }
        }
    }

    fn read_length(
        &mut self,
        kind: u8,
        mut length: Length,
        bytes: &[u8],
    ) -> Result<(usize, bool), Malformed> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if length.has_return => return Ok((at + 1, self.begin(kind, length)?)),
                _ if length.has_return => return Err(Malformed::NotRedis),
                b'0'..=b'9' => {
                    let value = length.value.checked_mul(10);
                    let value = value.and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    length.value = value.ok_or(Malformed::TooLarge(self.max))?;
                    length.has_digits = true;
                }
                b'-' if matches!(kind, b'$' | b'*' | b'~' | b'>')
                    && !length.has_digits
                    && !length.is_negative =>
                {
                    length.is_negative = true;
                }
                b'\r' if length.has_digits => length.has_return = true,
                _ => return Err(Malformed::NotRedis),
            }
        }
        // A length without an end counts towards the bound.
        self.grow(bytes.len() as u64)?;
        self.next = Next::Length(kind, length);
        Ok((bytes.len(), false))
    }

    /// Begins what follows a length; returns whether that is nothing, so that the element has
    /// ended.
    fn begin(&mut self, kind: u8, length: Length) -> Result<bool, Malformed> {
        // The length of nil is -1.
        let is_nil = length.is_negative;
        let count = if is_nil { 0 } else { length.value };
        let elements = match kind {
            b'$' | b'!' | b'=' => {
                self.grow(count)?;
                self.next = if is_nil {
                    Next::Kind
                } else {
                    Next::Body(count.saturating_add(2))
                };
                return Ok(is_nil);
            }
            b'%' => count.saturating_mul(2),
            // The annotated value follows its attributes.
            b'|' => count.saturating_mul(2).saturating_add(1),
            _ => count,
        };
        self.grow(elements.saturating_mul(ELEMENT))?;
        self.next = Next::Kind;
        if elements == 0 {
            return Ok(true);
        }
        if self.open.len() == DEPTH {
            return Err(Malformed::NotRedis);
        }
        self.open.push(elements);
        Ok(false)
    }

    /// Counts an element that has ended; returns whether it was the last one of the value.
    fn end_element(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    fn grow(&mut self, bytes: u64) -> Result<(), Malformed> {
        self.size = self.size.saturating_add(bytes);
        match self.size > self.max {
            true => Err(Malformed::TooLarge(self.max)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a stream in chunks of this size; returns after which bytes no value was under way.
    fn boundaries(stream: &[u8], chunk: usize) -> Result<Vec<usize>, Malformed> {
        let mut framing = ReplyFraming::new(MAX_VALUE);
        let mut boundaries = Vec::new();
        let mut passed = 0;
        for chunk in stream.chunks(chunk) {
            framing.read(chunk)?;
            passed += chunk.len();
            if framing.arrived() == 0 {
                boundaries.push(passed);
            }
        }
        Ok(boundaries)
    }

    #[test]
    fn the_ends_of_values_are_those_of_the_redis_crate() {
        let values: [&[u8]; 20] = [
            b"+OK\r\n",
            b"+a lone \n and \r stay in a line\r\n",
            b"-ERR no\r\n",
            b":12\r\n",
            b"_\r\n",
            b"#t\r\n",
            b",1.5\r\n",
            b"(123456789012345678901234567890\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$7\r\n$9\r\n*\r\n\r\n",
            b"!5\r\nERR x\r\n",
            b"=5\r\ntxt:x\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*2\r\n*1\r\n:1\r\n*0\r\n",
            b"~1\r\n+a\r\n",
            b"%1\r\n+a\r\n*2\r\n:1\r\n$1\r\nx\r\n",
            b"|1\r\n+ttl\r\n:3\r\n+value\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n",
        ];
        for value in values {
            let shown = value.escape_ascii();
            redis::parse_redis_value(value).unwrap_or_else(|error| panic!("{shown}: {error}"));
            let cut = redis::parse_redis_value(&value[..value.len() - 1]);
            assert!(cut.is_err(), "{shown} ends earlier");
            assert_eq!(boundaries(value, 1), Ok(vec![value.len()]), "{shown}");
        }

        let stream = values.concat();
        let mut ends = values.iter().scan(0, |end, value| {
            *end += value.len();
            Some(*end)
        });
        assert_eq!(boundaries(&stream, 1), Ok(ends.by_ref().collect()));
        for chunk in [2, 3, 7, 64, stream.len()] {
            let last = boundaries(&stream, chunk).unwrap().pop();
            assert_eq!(last, Some(stream.len()), "{chunk}");
        }
    }

    #[test]
    fn a_value_that_is_too_large_is_refused_before_it_arrives() {
        let of_zeros = |count: usize| "+\r\n".repeat(count);
        for stream in [
            "$1001\r\n".to_owned(),
            "$99999999999999999999999\r\n".to_owned(),
            "=1001\r\n".to_owned(),
            "*1000\r\n".to_owned(),
            "*18446744073709551615\r\n".to_owned(),
            "%18446744073709551615\r\n".to_owned(),
            "|18446744073709551615\r\n".to_owned(),
            format!("+{}", "x".repeat(1001)),
            ">3\r\n$400\r\n".to_owned() + &"x".repeat(400) + "\r\n$600\r\n",
            format!("*15\r\n{}$900\r\n", of_zeros(14)),
        ] {
            let mut framing = ReplyFraming::new(1000);
            let read = framing.read(stream.as_bytes());
            assert_eq!(read, Err(Malformed::TooLarge(1000)), "{stream}");
        }

        let mut framing = ReplyFraming::new(1000);
        for _ in 0..10 {
            let value = format!("$990\r\n{}\r\n", "x".repeat(990));
            assert_eq!(framing.read(value.as_bytes()), Ok(true), "each on its own");
        }
    }

    #[test]
    fn bytes_that_are_not_resp_are_refused() {
        let nested = "*1\r\n".repeat(DEPTH + 1);
        for stream in [
            "HTTP/1.1 400 Bad Request\r\n",
            "$1x\r\n",
            "*x\r\n",
            "=-1\r\n",
            "!-1\r\n",
            "%-1\r\n",
            "|-1\r\n",
            "$1\nabc",
            "$1\rabc",
            "$\r\n",
            "$-\r\n",
            "$1-\r\n",
            "$--1\r\n",
            "$+1\r\n",
            "+OK\r\n\r\n",
            &nested,
        ] {
            let read = ReplyFraming::new(MAX_VALUE).read(stream.as_bytes());
            assert_eq!(read, Err(Malformed::NotRedis), "{stream}");
        }
    }

    #[test]
    fn what_has_arrived_of_a_value_is_counted() {
        let mut framing = ReplyFraming::new(MAX_VALUE);

        assert_eq!(framing.read(b"+OK\r\n$10\r\nab"), Ok(true));
        assert_eq!(framing.arrived(), 7);
        assert_eq!(framing.read(b"cdef"), Ok(false));
        assert_eq!(framing.arrived(), 11);
        assert_eq!(framing.read(b"ghij\r\n"), Ok(true));
        assert_eq!(framing.arrived(), 0);
    }
}
