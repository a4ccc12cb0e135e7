//! The body type of requests and responses.

use crate::error::{BoxError, Error, Result};
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use std::{
    any::Any,
    borrow::Cow,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// The body of a request or a response: empty, bytes, or a stream.
///
/// ```
/// use seaway::protocol::Body;
///
/// let page = http::Response::new(Body::from("<h1>Ahoy</h1>"));
/// let none = Body::empty();
/// ```
#[derive(Default)]
pub struct Body(BodyKind);

/// The kinds of bodies. `Body` is a named type, not an alias: a bare `dyn` would leak its lifetime
/// into every `Send` proof that mentions it.
#[derive(Default)]
enum BodyKind {
    #[default]
    Empty,
    Full(Full<Bytes>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Creates a body from any stream of bytes; a `Body` is returned unchanged.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        let same = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>();
        if let Some(same) = same.and_then(Option::take) {
            return same;
        }
        let body = body.expect("it was of another type");
        Self(BodyKind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// Creates an empty body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the whole body.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::protocol::Body;
    ///
    /// assert_eq!(Body::from("ahoy").to_bytes(1024).await.unwrap(), "ahoy");
    /// assert!(Body::from("ahoy").to_bytes(3).await.is_err());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) as soon as it announces or sends more
    /// than `limit` bytes, [`ErrorKind::Closed`](crate::ErrorKind::Closed) if it is incomplete or
    /// malformed, or the client sends nothing for
    /// [`body_timeout`](crate::Serve::body_timeout). As a [`Rejection`](crate::Rejection) these are
    /// 413, 400 and 408.
    pub async fn to_bytes(mut self, limit: usize) -> Result<Bytes> {
        let too_large = || Error::body_too_large(limit);
        if http_body::Body::size_hint(&self).lower() > limit as u64 {
            return Err(too_large());
        }
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(Error::unread_body)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            // At most the limit, so the difference cannot underflow.
            let have = first.as_ref().map_or(0, Bytes::len) + rest.len();
            if data.len() > limit - have {
                return Err(too_large());
            }
            // Most bodies arrive in one piece, which is returned without a copy.
            match first {
                None => first = Some(data),
                Some(_) => rest.extend_from_slice(&data),
            }
        }
        let first = first.unwrap_or_default();
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            BodyKind::Empty => Poll::Ready(None),
            BodyKind::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            BodyKind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodyKind::Empty => true,
            BodyKind::Full(body) => body.is_end_stream(),
            BodyKind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodyKind::Empty => SizeHint::with_exact(0),
            BodyKind::Full(body) => body.size_hint(),
            BodyKind::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(BodyKind::Full(Full::new(bytes)))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").finish_non_exhaustive()
    }
}
