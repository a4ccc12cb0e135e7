//! A POST: one message of a client, which is forwarded to the process that has its stream.

use super::{
    fetch_site,
    forward::{ConnectionId, Forwarded, Post, PostOutcome},
};
use crate::{
    channels::{Channels, Group, Mailbox},
    digest::digest,
    error::{ErrorKind, Result},
    protocol::{AllowedOrigins, Body, Exchange, Http, Origin},
    rejection::Rejection,
    rejection_log::Rule,
    scope::{OpensOverHttp, Scope},
};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use std::time::Duration;
use tokio::time::timeout;

/// The header with the id of the connection.
const CONNECTION: &str = "seaway-connection";

/// How long the process that has the stream may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// The size of a message from which its stream is asked first, in bytes: an id may be invented, and
/// then the message would be read and sent to every process for nothing.
const LARGE: u64 = 4 * 1024;

/// How long a client should wait before it sends a message again for which there was no room.
const RETRY_AFTER: u64 = 1;

/// Responds to a POST.
pub(super) async fn answer(
    channels: &Channels,
    max_body: usize,
    scope: &Scope<Http>,
    mut exchange: Exchange,
) -> Result<()> {
    let body = exchange.take_body();
    match forward(channels, max_body, scope, body).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            exchange.respond(response).await
        }
        Err(rejection) => Http::reject(exchange, rejection).await,
    }
}

/// Sends the message to its stream, and waits for the answer.
async fn forward(
    channels: &Channels,
    max_body: usize,
    scope: &Scope<Http>,
    body: Body,
) -> Result<(), Rejection> {
    let headers = &scope.head.headers;
    let Some(id) = headers.get(CONNECTION) else {
        let text = "a POST is a message of a client that has opened a stream by GET with `Accept: \
                    text/event-stream`, and names it in the header `Seaway-Connection`";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, text));
    };
    let id = id.to_str().ok().and_then(ConnectionId::parse);
    let stream = id.ok_or_else(unknown)?.group(channels)?;
    let mut mailbox = channels.open().await?;
    let answer_to = mailbox.name().clone();
    if body.size_hint().upper().is_none_or(|size| size > LARGE) {
        let ask = Forwarded::Ask {
            answer_to: answer_to.clone(),
        };
        check(ask_stream(&stream, ask, channels, &mut mailbox).await?)?;
    }
    let bytes = body.to_bytes(max_body).await?;
    let text = String::from_utf8(bytes.into()).map_err(|_| {
        let text = "a message is text in UTF-8: binary needs a WebSocket";
        Rejection::new(StatusCode::BAD_REQUEST, text).by(Rule::Input)
    })?;
    let origin = Origin::of(headers, &scope.head.uri, &scope.extensions);
    // The browser knows the host that it requested; a proxy may have sent another `Host`.
    let is_same = fetch_site(headers) == Some(b"same-origin")
        || AllowedOrigins::same_origin().allows(&origin);
    let origin = headers.get(header::ORIGIN).filter(|_| !is_same);
    let foreign_origin = origin.map(|origin| digest(origin.as_bytes()));
    let post = Forwarded::Post(Post {
        text,
        foreign_origin,
        answer_to,
    });
    check(ask_stream(&stream, post, channels, &mut mailbox).await?)
}

/// Sends this to a stream, and waits for its answer.
async fn ask_stream(
    stream: &Group<Forwarded>,
    event: Forwarded,
    channels: &Channels,
    mailbox: &mut Mailbox,
) -> Result<PostOutcome, Rejection> {
    let sent = stream.send(&event).await;
    // Not held while the answer is awaited: the id may be invented.
    drop(event);
    match sent {
        Ok(()) => {}
        // It may have arrived: a client must not send it again.
        Err(error) if error.kind() == ErrorKind::Unconfirmed => return Err(unknown()),
        Err(error) => return Err(retry(Rejection::from(error), RETRY_AFTER)),
    }
    let answered = timeout(ANSWER_LIMIT, async {
        loop {
            let Ok(envelope) = mailbox.receive().await else {
                continue;
            };
            if let Some(event) = channels.decode::<Forwarded>(envelope)
                && let Forwarded::Answer { answer } = &*event
            {
                return *answer;
            }
        }
    });
    Ok(answered.await.unwrap_or(PostOutcome::Unknown))
}

/// Returns the rejection of a message that was not taken.
fn check(answer: PostOutcome) -> Result<(), Rejection> {
    Err(match answer {
        PostOutcome::Open | PostOutcome::Taken => return Ok(()),
        PostOutcome::Unknown => unknown(),
        PostOutcome::Origin => {
            let text = "pages of this origin may not send to this connection";
            Rejection::new(StatusCode::FORBIDDEN, text).by(Rule::Origin)
        }
        PostOutcome::TooLarge(limit) => {
            let text = format!("the message is larger than {limit} bytes");
            Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, text).by(Rule::MessageSize)
        }
        PostOutcome::TooFast(seconds) => {
            let text = "the client sends too fast";
            let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, text).by(Rule::Rate);
            retry(rejection, seconds)
        }
        PostOutcome::Full => {
            let text = "the consumer is busy, and no more messages may wait for it";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            retry(Rejection::new(status, text).by(Rule::Rate), RETRY_AFTER)
        }
    })
}

fn unknown() -> Rejection {
    let text = "this connection has ended: open a new one";
    Rejection::new(StatusCode::NOT_FOUND, text)
}

fn retry(rejection: Rejection, seconds: u64) -> Rejection {
    rejection.header(header::RETRY_AFTER, HeaderValue::from(seconds))
}
