//! The minimal RFC 6455 framing of a cheap client: two functions over bytes.

/// A text frame's opcode.
pub(crate) const TEXT: u8 = 1;
/// A close frame's opcode.
pub(crate) const CLOSE: u8 = 8;
/// A ping's opcode.
pub(crate) const PING: u8 = 9;
/// A pong's opcode.
pub(crate) const PONG: u8 = 10;

/// The longest payload whose length takes one byte.
const SHORT: usize = 125;
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const MASKED: u8 = 0x80;

/// The masking key of all frames: the server must unmask with any key, and there is no proxy to
/// protect.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A complete frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its opcode.
    pub(crate) opcode: u8,
    /// Whether it is a compressed message.
    pub(crate) is_compressed: bool,
    /// Its payload.
    pub(crate) payload: &'a [u8],
    /// Its length in bytes, including the header.
    pub(crate) length: usize,
}

/// Appends a masked frame, whose payload consists of these parts.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.push(FINAL | opcode);
    match (length, u16::try_from(length)) {
        (..=SHORT, _) => out.push(MASKED | length as u8),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let bytes = payload.iter().copied().flatten();
    out.extend(bytes.zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Parses the first frame; `None` while it is incomplete.
///
/// # Errors
///
/// If the frame is fragmented or masked: no server here needs to send one.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0xf0 & !COMPRESSED != FINAL || second & MASKED != 0 {
        return Err("the server sent a frame of an unexpected form");
    }
    let (header, payload_length) = match (second & 0x7f, rest) {
        (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        (126, _) => return Ok(None),
        (127, rest) => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length) as usize),
            None => return Ok(None),
        },
        (short, _) => (2, usize::from(short)),
    };
    let length = header + payload_length.min(usize::MAX - header);
    let frame = bytes.get(header..length);
    Ok(frame.map(|payload| Frame {
        opcode: first & 0x0f,
        is_compressed: first & COMPRESSED != 0,
        payload,
        length,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_written_byte_by_byte() {
        let mut out = Vec::new();

        write(&mut out, TEXT, &[b"Hel", b"lo"]);

        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
    }

    #[test]
    fn a_frame_is_read_once_it_is_whole() {
        let bytes = [0x81, 0x02, b'h', b'i', 0x89];

        assert_eq!(parse(&bytes[..3]), Ok(None));
        assert_eq!(
            parse(&bytes),
            Ok(Some(Frame {
                opcode: TEXT,
                is_compressed: false,
                payload: b"hi",
                length: 4
            }))
        );
        assert_eq!(parse(&bytes[4..]), Ok(None));
    }

    #[test]
    fn a_longer_frame_has_two_or_eight_bytes_of_length() {
        for (header, size) in [
            (&[0x82, 126, 0x01, 0x00][..], 256),
            (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        ] {
            let mut bytes = header.to_vec();
            bytes.resize(header.len() + size, b'x');
            let length = bytes.len();

            let parsed = |bytes| parse(bytes).map(|frame| frame.map(|frame| frame.length));
            assert_eq!(parsed(&bytes), Ok(Some(length)));
            assert_eq!(parsed(&bytes[..length - 1]), Ok(None));
            assert_eq!(parsed(&bytes[..3]), Ok(None));

            // A client's frame has the same length, its mask aside.
            let mut out = Vec::new();
            write(&mut out, 2, &[&bytes[header.len()..]]);
            assert_eq!(out.len(), length + MASK.len());
            assert_eq!(
                (out[1], &out[2..header.len()]),
                (header[1] | MASKED, &header[2..])
            );
        }
    }

    #[test]
    fn a_compressed_frame_is_marked() {
        for (bytes, expected) in [([0x81, 0x00], false), ([0xc1, 0x00], true)] {
            let frame = parse(&bytes).unwrap().expect("a whole frame");
            assert_eq!(frame.is_compressed, expected, "{bytes:x?}");
        }
    }

    #[test]
    fn fragments_and_masked_frames_are_rejected() {
        for bytes in [[0x01, 0x00], [0xa1, 0x00], [0x81, 0x80]] {
            assert!(parse(&bytes).is_err(), "{bytes:x?}");
        }
    }
}
