//! The text of every message: 64 bytes with its sender, its number and its send time, and padding
//! if it is longer.

use std::sync::Arc;

/// The length of a text without padding.
pub(crate) const LENGTH: usize = 64;

/// The content of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The number of the client that sent it.
    pub(crate) sender: u32,
    /// The number of texts that the client sent before.
    pub(crate) sequence: u64,
    /// The send time, on the clock of the [`Course`](crate::course::Course).
    pub(crate) sent_ns: u64,
}

impl Label {
    /// Encodes the label as text.
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let mut text = [b'.'; LENGTH];
        write_hex(&mut text[..8], u64::from(self.sender));
        write_hex(&mut text[8..24], self.sequence);
        write_hex(&mut text[24..40], self.sent_ns);
        text
    }

    /// Decodes a text, if it is a label and this padding.
    pub(crate) fn decode(text: &[u8], padding: &[u8]) -> Option<Self> {
        let (text, rest) = text.split_at_checked(LENGTH)?;
        if rest != padding {
            return None;
        }
        Some(Self {
            sender: u32::try_from(read_hex(&text[..8])?).ok()?,
            sequence: read_hex(&text[8..24])?,
            sent_ns: read_hex(&text[24..40])?,
        })
    }
}

/// Returns the padding of texts of this length.
pub(crate) fn padding(length: usize) -> Arc<[u8]> {
    vec![b'.'; length.saturating_sub(LENGTH)].into()
}

fn write_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_the_journey() {
        let label = Label {
            sender: u32::MAX,
            sequence: 0x0123_4567_89ab_cdef,
            sent_ns: 42,
        };

        for length in [LENGTH, 4096] {
            let padding = padding(length);
            let text = [&label.encode()[..], &padding].concat();

            assert_eq!(text.len(), length);
            assert_eq!(Label::decode(&text, &padding), Some(label));
            assert_eq!(Label::decode(&text, b"other"), None);
        }
    }

    #[test]
    fn another_text_is_no_label() {
        for text in [&b"hello"[..], &[b'.'; LENGTH]] {
            assert_eq!(Label::decode(text, &[]), None);
        }
    }
}
