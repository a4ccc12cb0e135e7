//! The framing of HTTP/1 requests (RFC 9112, 6): where each request ends, and whether one has both
//! `Content-Length` and `Transfer-Encoding`.
//!
//! hyper prefers `Transfer-Encoding`, as RFC 9112, 6.3 allows, and removes `Content-Length` from
//! the head. A request with both is an attempt to smuggle another one past a proxy that prefers the
//! other header, so this code looks for them in the bytes. It only observes: hyper alone parses the
//! requests. It has no I/O.

use memchr::memchr;

/// The state of the framing of one connection.
#[derive(Debug, Default)]
pub(super) struct RequestFraming {
    part: Part,
    /// The start of a line that is not complete yet.
    line: Vec<u8>,
    /// Whether more of the line was received than is kept.
    is_truncated: bool,
    head: HeadFraming,
    /// Number of complete heads.
    heads: usize,
    ambiguous: Option<usize>,
}

/// The part of a request that the next bytes belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// A body of which this many bytes are missing.
    Body(u64),
    ChunkSize,
    /// A chunk of which this many bytes are missing, with the line break after it.
    Chunk(u64),
    Trailers,
}

/// The facts known about the current head.
#[derive(Clone, Copy, Debug, Default)]
struct HeadFraming {
    has_begun: bool,
    length: Option<u64>,
    is_chunked: bool,
    /// Whether one of the two headers is too long to be parsed.
    is_truncated: bool,
}

/// How many bytes are kept of a line that is split between reads: the first ones and the last. The
/// two headers fit; a request in which one does not fit counts as ambiguous, too.
const LINE: usize = 256;

impl RequestFraming {
    /// Processes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.part {
                Part::Body(left) | Part::Chunk(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[count..];
                    self.skipped(left - count as u64);
                }
                Part::Head | Part::ChunkSize | Part::Trailers => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        self.keep(bytes);
                        return;
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    if self.line.is_empty() {
                        self.end_line(line, false);
                    } else {
                        self.keep(line);
                        let line = std::mem::take(&mut self.line);
                        let is_truncated = std::mem::take(&mut self.is_truncated);
                        self.end_line(&line, is_truncated);
                    }
                    bytes = rest;
                }
            }
        }
    }

    /// Returns the number of the first request with both headers, from 1.
    pub(super) fn ambiguous(&self) -> Option<usize> {
        self.ambiguous
    }

    /// Returns whether all requests so far are complete.
    pub(super) fn is_between_requests(&self) -> bool {
        self.part == Part::Head && !self.head.has_begun && self.line.is_empty()
    }

    fn keep(&mut self, mut bytes: &[u8]) {
        // A chunk size may have any number of leading zeros, of which one is kept.
        if self.part == Part::ChunkSize && self.line.iter().all(|digit| *digit == b'0') {
            let zeros = bytes.iter().take_while(|digit| **digit == b'0').count();
            bytes = &bytes[zeros..];
            if zeros > 0 && self.line.is_empty() {
                self.line.push(b'0');
            }
        }
        let room = LINE - self.line.len();
        let (kept, rest) = bytes.split_at(bytes.len().min(room));
        self.line.extend_from_slice(kept);
        if let (Some(end), Some(last)) = (rest.last(), self.line.last_mut()) {
            *last = *end;
            self.is_truncated = true;
        }
    }

    fn skipped(&mut self, left: u64) {
        self.part = match (self.part, left) {
            (Part::Body(_), 0) => Part::Head,
            (Part::Body(_), left) => Part::Body(left),
            (_, 0) => Part::ChunkSize,
            (_, left) => Part::Chunk(left),
        };
    }

    fn end_line(&mut self, line: &[u8], is_truncated: bool) {
        let ends_in_crlf = line.ends_with(b"\r");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.part {
            // hyper accepts LF alone as the end of a line in a head, but not in a body: there it
            // waits for a CRLF that does not come.
            Part::ChunkSize | Part::Trailers if !ends_in_crlf => self.part = Part::Body(u64::MAX),
            Part::Head if line.is_empty() => self.end_head(),
            Part::Head if self.head.has_begun => self.header(line, is_truncated),
            Part::Head => self.head.has_begun = true,
            Part::ChunkSize => {
                self.part = match chunk_size(line) {
                    0 => Part::Trailers,
                    size => Part::Chunk(size.saturating_add(2)),
                };
            }
            Part::Trailers if line.is_empty() => self.part = Part::Head,
            Part::Trailers | Part::Body(_) | Part::Chunk(_) => {}
        }
    }

    fn header(&mut self, line: &[u8], is_truncated: bool) {
        // The first letter rules out nearly every other header.
        match line[0] | 0x20 {
            b'c' => {
                if let Some(value) = value(line, b"content-length") {
                    self.head.length = Some(decimal(value));
                    self.head.is_truncated |= is_truncated;
                }
            }
            b't' if value(line, b"transfer-encoding").is_some() => {
                self.head.is_chunked = true;
                self.head.is_truncated |= is_truncated;
            }
            _ => {}
        }
    }

    fn end_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        // Empty lines before a request are ignored (RFC 9112, 2.2).
        if !head.has_begun {
            return;
        }
        self.heads = self.heads.wrapping_add(1);
        if head.is_truncated || head.is_chunked && head.length.is_some() {
            self.ambiguous.get_or_insert(self.heads);
        }
        self.part = match (head.is_chunked, head.length) {
            (true, _) => Part::ChunkSize,
            (false, Some(length @ 1..)) => Part::Body(length),
            (false, _) => Part::Head,
        };
    }
}

/// Returns the value of a header line, if the header has this name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// Parses a `Content-Length`. A value that is not a number, or too large, counts as infinite: hyper
/// rejects the request.
fn decimal(text: &[u8]) -> u64 {
    number(text.trim_ascii(), 10)
}

/// Parses the size of a chunk, which precedes its extensions.
fn chunk_size(line: &[u8]) -> u64 {
    let end = memchr(b';', line).unwrap_or(line.len());
    number(line[..end].trim_ascii(), 16)
}

fn number(digits: &[u8], radix: u32) -> u64 {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    u64::from_str_radix(text, radix).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        collection::vec,
        prelude::*,
        sample::{Index, select},
    };

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const SIZED: &str = "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:  5 \r\n\r\nahoy\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        6;note=\"x\"\r\n\r\n\r\n\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: 7\r\n\r\n";
    const BOTH: &str =
        "POST / HTTP/1.1\r\nContent-Length: 4\r\nTRANSFER-Encoding: chunked\r\n\r\n0\r\n\r\n";

    /// Only heads may have bare line feeds (RFC 9112, 2.2).
    const BARE: &str =
        "POST / HTTP/1.1\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\r\n\r\n";

    fn fed(pieces: &[&[u8]]) -> RequestFraming {
        let mut framing = RequestFraming::default();
        for piece in pieces {
            framing.feed(piece);
        }
        framing
    }

    #[test]
    fn a_request_with_two_lengths_is_found_wherever_the_bytes_are_split() {
        for (requests, expected) in [
            (vec![GET, SIZED, CHUNKED, GET], None),
            (vec![BOTH], Some(1)),
            (vec![GET, "\r\n\r\n", SIZED, BOTH], Some(3)),
            (vec![CHUNKED, CHUNKED, BOTH, BOTH], Some(3)),
            (vec![SIZED, BARE], Some(2)),
        ] {
            let bytes = requests.concat().into_bytes();
            for cut in 0..bytes.len() {
                let (start, end) = bytes.split_at(cut);
                let framing = fed(&[start, end]);
                assert_eq!(framing.ambiguous(), expected, "{requests:?} at {cut}");
                assert!(framing.is_between_requests(), "{requests:?} at {cut}");
            }
            let bytewise: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(fed(&bytewise).ambiguous(), expected, "{requests:?}");
        }
    }

    #[test]
    fn a_chunk_size_with_many_zeros_does_not_hide_the_next_request() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let content = "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n";
        let size = format!("{}{:x}", "0".repeat(2 * LINE), content.len());
        let text = format!("{head}{size}\r\n{content}\r\n0\r\n\r\n{BOTH}");

        for cut in 0..text.len() {
            let (start, end) = text.as_bytes().split_at(cut);
            assert_eq!(fed(&[start, end]).ambiguous(), Some(2), "{cut}");
        }
    }

    #[test]
    fn the_zeros_at_the_end_of_a_chunk_size_count_wherever_the_bytes_are_split() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let content = format!("\r\n{BOTH}{}", "x".repeat(0x100 - 2 - BOTH.len()));
        let text = format!("{head}100\r\n{content}\r\n0\r\n\r\n");

        for cut in 0..text.len() {
            let (start, end) = text.as_bytes().split_at(cut);
            let framing = fed(&[start, end]);
            assert_eq!(framing.ambiguous(), None, "{cut}");
            assert!(framing.is_between_requests(), "{cut}");
        }
    }

    #[test]
    fn an_empty_chunk_size_is_not_zero_wherever_the_bytes_are_split() {
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n";

        for cut in 0..text.len() {
            let (start, end) = text.as_bytes().split_at(cut);
            assert!(!fed(&[start, end]).is_between_requests(), "{cut}");
        }
    }

    #[test]
    fn the_content_of_a_body_is_not_taken_for_a_head() {
        let body = BOTH.len();
        let smuggled = format!("POST / HTTP/1.1\r\nContent-Length: {body}\r\n\r\n{BOTH}");
        let chunked = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body:x}\r\n{BOTH}\r\n0\r\n\r\n"
        );

        for text in [smuggled, chunked] {
            let framing = fed(&[text.as_bytes()]);
            assert_eq!(framing.ambiguous(), None, "{text}");
            assert!(framing.is_between_requests(), "{text}");
        }
    }

    #[test]
    fn a_request_is_complete_with_its_last_byte_and_not_before() {
        for request in [GET, SIZED, CHUNKED] {
            for end in 1..request.len() {
                let framing = fed(&[&request.as_bytes()[..end]]);
                assert!(!framing.is_between_requests(), "{:?}", &request[..end]);
            }
            assert!(fed(&[request.as_bytes()]).is_between_requests());
        }
    }

    #[test]
    fn an_invalid_or_huge_length_never_ends() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        ] {
            let framing = fed(&[head.as_bytes(), &[b'x'; 1000], b"\r\n\r\n"]);
            assert!(!framing.is_between_requests(), "{head}");
        }
    }

    #[test]
    fn a_body_with_a_line_that_ends_in_lf_alone_never_ends() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "5\nahoy\n\r\n0\r\n\r\n",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
        ] {
            let bytes = format!("{head}{body}").into_bytes();
            let bytewise: Vec<_> = bytes.chunks(1).collect();

            assert!(!fed(&[&bytes]).is_between_requests(), "{body:?}");
            assert!(!fed(&bytewise).is_between_requests(), "{body:?}");
        }
    }

    #[test]
    fn a_long_line_does_not_hide_a_length() {
        let spaces = " ".repeat(2 * LINE);
        let zeros = "0".repeat(2 * LINE);
        let coding = "Transfer-Encoding: chunked\r\n";
        for lines in [
            format!("Content-Length:{spaces}5\r\n"),
            format!("Content-Length: {zeros}5\r\n"),
            format!("Content-Length: 5\r\nTransfer-Encoding:{spaces}chunked\r\n"),
            format!("Content-Length: {zeros}5\r\n{coding}"),
            format!("Transfer-Encoding:{spaces}chunked\r\n"),
        ] {
            let request = format!("POST / HTTP/1.1\r\n{lines}\r\n").into_bytes();
            let bytewise: Vec<_> = request.chunks(1).collect();

            assert_eq!(fed(&bytewise).ambiguous(), Some(1), "{lines}");
        }
    }

    #[test]
    fn a_long_line_that_is_split_does_not_end_the_observation() {
        let long = "x".repeat(2 * LINE);
        let head = format!("POST / HTTP/1.1\r\nX: {long}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = format!("1;{long}\r\nx\r\n0;{long}\r\nX: {long}\r\n\r\n");
        let bytes = [head, body, BOTH.to_owned()].concat().into_bytes();
        let bytewise: Vec<_> = bytes.chunks(1).collect();

        assert_eq!(fed(&bytewise).ambiguous(), Some(2));
    }

    /// Any bytes of a client, whose lines are short enough to be kept: requests, parts of requests,
    /// and noise.
    fn anything() -> impl Strategy<Value = Vec<u8>> {
        let requests = select(&[GET, SIZED, CHUNKED, BOTH, BARE, "\r\n"][..]);
        let parts = select(
            &[
                "POST / HTTP/1.1\r\n",
                "Content-Length: 3\r\n",
                "Content-Length: 18446744073709551615\r\n",
                "transfer-encoding: chunked\r\n",
                "X: y\r\n",
                "\r\n",
                "\n",
                "\r",
                "3;x=y\r\nabc\r\n",
                "0\r\n",
                "ffffffffffffffff\r\n",
            ][..],
        );
        let piece = prop_oneof![
            4 => requests.prop_map(|text| text.as_bytes().to_vec()),
            8 => parts.prop_map(|text| text.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..10),
        ];
        vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn any_bytes_are_framed_alike_wherever_they_are_split(
            bytes in anything(),
            cuts in vec(any::<Index>(), 0..20),
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.extend([0, bytes.len()]);
            ends.sort_unstable();
            let pieces: Vec<_> = ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();

            let (whole, split) = (fed(&[&bytes]), fed(&pieces));

            prop_assert_eq!(split.ambiguous(), whole.ambiguous());
            prop_assert_eq!(split.is_between_requests(), whole.is_between_requests());
            prop_assert_eq!((split.part, split.heads), (whole.part, whole.heads));
            prop_assert!(split.line.capacity() <= 2 * LINE);
        }
    }
}
