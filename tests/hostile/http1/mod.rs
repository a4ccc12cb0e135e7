//! Hostile HTTP/1 requests, with the parser of their responses, and a table for each part of a
//! request.

pub mod chunks;
pub mod content_length;
pub mod headers;
pub mod host;
pub mod methods;
pub mod pipelining;
pub mod request_line;
pub mod smuggling;
pub mod transfer_encoding;

use super::shape::{PATIENCE, Reply, Shape};
use seaway_tests::support::RawClient;
use tokio::time::timeout;

/// The expected responses, and whether the server keeps the connection.
#[derive(Clone, Copy, Debug)]
pub enum Http {
    /// Exactly these responses; then the server closes the connection.
    Closes(&'static [u16]),
    /// Exactly these responses; then the connection accepts another request.
    Keeps(&'static [u16]),
    AnyOf(&'static [Http]),
}

pub use Http::{AnyOf, Closes, Keeps};

/// The page's response.
pub const SERVED: Http = Keeps(&[200]);
/// The request is invalid, but its end is known: the connection may be kept.
pub const BAD_REQUEST: Http = AnyOf(&[Closes(&[400]), Keeps(&[400])]);
/// The end of the request is ambiguous: no following bytes may be parsed as another one (RFC 9112,
/// 9.6 and 11.2).
pub const BAD_FRAMING: Http = Closes(&[400]);
/// Like [`BAD_FRAMING`], for a body whose error is detected while an application reads it: closing
/// the connection is enough.
pub const BAD_BODY: Http = AnyOf(&[Closes(&[400]), Closes(&[])]);
/// A well-formed request that may be rejected: no rule requires either.
pub const SERVED_OR_REJECTED: Http = AnyOf(&[Keeps(&[200]), Closes(&[400]), Keeps(&[400])]);
/// A target without a route, which may also be rejected as invalid.
pub const NOT_FOUND_OR_BAD: Http = AnyOf(&[Keeps(&[404]), Closes(&[400]), Keeps(&[400])]);
/// A head over the limit (RFC 6585, 5).
pub const TOO_LARGE: Http = Closes(&[431]);

/// A request without a route, so that its response differs from that of any request in a shape.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n";
const PROBED: u16 = 404;

impl Reply for Http {
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String> {
        let mut client = RawClient::connect(port).await;
        let mut received = Vec::new();
        let talk = async {
            shape.send(&mut client).await;
            observe(&mut client, shape, &mut received).await
        };
        let seen = match timeout(PATIENCE, talk).await {
            Ok(seen) => seen?,
            Err(_) => {
                let received = lossy(&received);
                return Err(format!(
                    "{received:?} and no end, instead of {:?}",
                    shape.answer
                ));
            }
        };
        if shape.answer.allows(&seen) {
            return Ok(());
        }
        Err(format!("{seen:?} instead of {:?}", shape.answer))
    }
}

/// The received statuses, and whether the connection accepted another request.
#[derive(Debug)]
struct Seen {
    statuses: Vec<u16>,
    is_kept: bool,
}

impl Http {
    fn allows(&self, seen: &Seen) -> bool {
        match self {
            Closes(statuses) => !seen.is_kept && seen.statuses == *statuses,
            Keeps(statuses) => seen.is_kept && seen.statuses == *statuses,
            AnyOf(answers) => answers.iter().any(|answer| answer.allows(seen)),
        }
    }

    /// Returns whether the connection may accept another request after these responses.
    fn may_keep(&self, statuses: &[u16]) -> bool {
        match self {
            Closes(_) => false,
            Keeps(due) => statuses == *due,
            AnyOf(answers) => answers.iter().any(|answer| answer.may_keep(statuses)),
        }
    }
}

/// Reads responses until the server closes the connection or has responded to another request on
/// it.
async fn observe(
    client: &mut RawClient,
    shape: &Shape<Http>,
    received: &mut Vec<u8>,
) -> Result<Seen, String> {
    let is_head = shape.bytes.starts_with(b"HEAD ");
    // The number of responses that had arrived when the other request was sent.
    let mut due = None;
    loop {
        let (mut statuses, rest) = responses(received, is_head)?;
        if due.is_none() && !shape.half_closes && shape.answer.may_keep(&statuses) {
            due = Some(statuses.len());
            client.write(PROBE).await;
        }
        if let Some(due) = due.filter(|due| statuses.len() > *due) {
            // Any other response here belongs to bytes that are no request.
            let is_kept = statuses[due..] == [PROBED];
            statuses.truncate(if is_kept { due } else { statuses.len() });
            return Ok(Seen { statuses, is_kept });
        }
        if !client.read(received).await {
            if rest < received.len() {
                return Err(format!("half a response: {:?}", lossy(&received[rest..])));
            }
            return Ok(Seen {
                statuses,
                is_kept: false,
            });
        }
    }
}

/// Returns the statuses of all complete responses, and the offset of the rest.
fn responses(mut received: &[u8], is_head: bool) -> Result<(Vec<u16>, usize), String> {
    let total = received.len();
    let mut statuses = Vec::new();
    while let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
        let head = lossy(&received[..end]);
        let status = head
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("no response: {head:?}"))?;
        let has_body = !(is_head && statuses.is_empty()) && status >= 200;
        let length = if has_body { length(&head)? } else { 0 };
        let Some(rest) = received.get(end + 4 + length..) else {
            break;
        };
        received = rest;
        statuses.push(status);
    }
    Ok((statuses, total - received.len()))
}

fn length(head: &str) -> Result<usize, String> {
    let mut lines = head.lines().skip(1);
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse().ok())?
    });
    length.ok_or_else(|| format!("a response without a length: {head:?}"))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
