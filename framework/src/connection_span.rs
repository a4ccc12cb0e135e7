//! The tracing span of a connection, which all its log lines show.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};
use tracing::{Span, error_span, field};

/// The header with the id that a proxy or middleware gave to a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of a logged path and of a logged request id, in bytes.
pub(crate) const MAX_PATH: usize = 200;
const MAX_REQUEST_ID: usize = 128;

/// The span of a request, or of the WebSocket that it opens; clones share it.
///
/// That of a request is created when something runs in it, or has a field to record: for a small
/// page it would cost a quarter of the whole request.
#[derive(Clone, Default)]
pub(crate) enum ConnectionSpan {
    /// That of a scope without a request.
    #[default]
    None,
    Lazy(Arc<Lazy>),
    Open(Span),
}

tokio::task_local! {
    static CURRENT: ConnectionSpan;
}

pub(crate) struct Lazy {
    protocol: &'static str,
    client: Option<SocketAddr>,
    /// Slices of hyper's buffer of 8 KiB, freed once the span has copied them: a stream may be open
    /// for hours.
    head: Mutex<Option<Head>>,
    span: OnceLock<Span>,
}

struct Head {
    path: Option<PathAndQuery>,
    request_id: Option<HeaderValue>,
}

impl ConnectionSpan {
    pub(crate) fn new(
        protocol: &'static str,
        uri: &Uri,
        headers: &HeaderMap,
        client: Option<SocketAddr>,
    ) -> Self {
        let request_id = headers.get(REQUEST_ID);
        Self::Lazy(Arc::new(Lazy {
            protocol,
            client,
            head: Mutex::new(Some(Head {
                path: uri.path_and_query().cloned(),
                request_id: request_id.filter(|id| is_shown(id)).cloned(),
            })),
            span: OnceLock::new(),
        }))
    }

    /// Returns the span, created now if this is its first use.
    ///
    /// It has the level `error`, so that every log level that shows a failure shows the fields of
    /// its connection. While no subscriber listens, nothing is formatted.
    pub(crate) fn open(&self) -> Span {
        match self {
            Self::None => Span::none(),
            Self::Lazy(lazy) => lazy.open().clone(),
            Self::Open(span) => span.clone(),
        }
    }

    /// Runs a future whose failures are logged in this span: it is [`current`](Self::current)
    /// there, and is created only for a line.
    pub(crate) async fn watch<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Returns the span of the request that this task handles, if a tower service does.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Sets a field.
    pub(crate) fn record(&self, field: &'static str, value: impl fmt::Display) {
        self.open().record(field, field::display(value));
    }
}

impl Lazy {
    fn open(&self) -> &Span {
        self.span.get_or_init(|| {
            let head = self
                .head
                .lock()
                .expect("no code panics while it holds this lock")
                .take();
            let path = head.as_ref().and_then(|head| head.path.as_ref());
            let request_id = head.as_ref().and_then(|head| head.request_id.as_ref());
            error_span!(
                target: "seaway::connection",
                "connection",
                protocol = self.protocol,
                path = path.map(|path| truncate(path.path(), MAX_PATH)),
                client = self.client.map(field::display),
                request_id = request_id.and_then(|id| id.to_str().ok()),
                consumer = field::Empty,
                user = field::Empty,
            )
        })
    }
}

/// Returns whether an id is visible ASCII and short enough.
fn is_shown(id: &HeaderValue) -> bool {
    id.len() <= MAX_REQUEST_ID && id.to_str().is_ok()
}

/// Returns the text up to this many bytes.
pub(crate) fn truncate(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
