//! Where the frames of a WebSocket end (RFC 6455, 5.2), without I/O.

/// The position in a stream of frames, of which only the headers are read.
#[derive(Clone, Default)]
pub(super) struct FramePosition {
    /// What has passed of a header that is not complete yet.
    header: [u8; MAX_HEADER],
    header_length: usize,
    /// How many bytes of the payload have not passed yet.
    payload: u64,
    has_closed: bool,
}

/// Two bytes, a length of 64 bits, and a mask.
const MAX_HEADER: usize = 14;

/// The operation code of a close frame.
const CLOSE: u8 = 8;

impl FramePosition {
    /// Returns whether no frame has begun without being complete, so that another one may be
    /// inserted.
    pub(super) fn is_between_frames(&self) -> bool {
        self.payload == 0 && self.header_length == 0
    }

    /// Returns whether a close frame has begun, after which nothing may be inserted (RFC 6455,
    /// 5.5.1).
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Returns how many of the bytes that follow belong to the frame that has begun.
    pub(super) fn rest_of_frame(&self, following: &[u8]) -> usize {
        match self.is_between_frames() {
            true => 0,
            false => self.clone().pass_frame(following),
        }
    }

    /// Moves behind these bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = self.pass_frame(bytes);
            bytes = &bytes[passed..];
        }
    }

    /// Moves behind these bytes, but not into the frame after the first end of one; returns how
    /// many have passed.
    fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while self.payload == 0 {
            let Some(byte) = bytes.get(passed) else {
                return passed;
            };
            self.header[self.header_length] = *byte;
            self.header_length += 1;
            passed += 1;
            if let Some(length) = payload_length(&self.header[..self.header_length]) {
                self.has_closed |= self.header[0] & 0x0f == CLOSE;
                self.header_length = 0;
                self.payload = length;
                if length == 0 {
                    return passed;
                }
            }
        }
        let rest = (bytes.len() - passed) as u64;
        let of_payload = self.payload.min(rest);
        self.payload -= of_payload;
        passed + of_payload as usize
    }
}

/// Returns the length of the payload that follows this header; `None` if it is not complete.
fn payload_length(header: &[u8]) -> Option<u64> {
    let [_, second, rest @ ..] = header else {
        return None;
    };
    let mask = match second & 0x80 {
        0 => 0,
        _ => 4,
    };
    let (length, size) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        length => (u64::from(length), 0),
    };
    (rest.len() == size + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame with this first byte and length.
    fn frame(first: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..0x1_0000 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Like the header of a close frame, wherever one is looked for by mistake.
        frame.extend(vec![0x88; length + if is_masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn the_ends_of_frames_are_found_wherever_their_bytes_are_split() {
        let frames = [
            frame(0x81, 0, false),
            frame(0x82, 1, false),
            frame(0x01, 125, false),
            frame(0x89, 0, false),
            frame(0x00, 126, false),
            frame(0x80, 0x1_0000, false),
            frame(0xc1, 300, true),
            frame(0x81, 0, true),
        ];
        let bytes = frames.concat();
        let mut ends = vec![0];
        for frame in &frames {
            ends.push(ends[ends.len() - 1] + frame.len());
        }
        for size in [1, 2, 3, 7, 127, 8192, bytes.len()] {
            let (mut position, mut passed) = (FramePosition::default(), 0);
            for piece in bytes.chunks(size) {
                let next = *ends.iter().find(|end| **end >= passed).unwrap();
                let following = &bytes[passed..];
                assert_eq!(position.is_between_frames(), next == passed, "{passed}");
                assert_eq!(position.rest_of_frame(following), next - passed, "{passed}");
                assert_eq!(
                    position.rest_of_frame(piece),
                    (next - passed).min(piece.len())
                );

                position.pass(piece);
                passed += piece.len();
            }
            assert!(position.is_between_frames());
            assert!(!position.has_closed());
        }
    }

    #[test]
    fn a_close_frame_is_noticed_and_nothing_that_only_looks_like_one() {
        for (first, is_close) in [(0x88, true), (0x89, false), (0x80, false), (0x81, false)] {
            let mut position = FramePosition::default();
            position.pass(&frame(first, 2, false));
            assert_eq!(position.has_closed(), is_close, "{first:x}");
        }
    }

    #[test]
    fn the_largest_length_does_not_overflow() {
        let mut position = FramePosition::default();
        let mut header = vec![0x82, 127];
        header.extend(u64::MAX.to_be_bytes());

        position.pass(&header);
        position.pass(&[0; 1000]);

        assert!(!position.is_between_frames());
        assert_eq!(position.rest_of_frame(&[0; 1000]), 1000);
    }
}
