//! A client at the door, before the answer.

use super::{NoEvent, address::Address};
use crate::{
    channels::{Channels, Event, Group},
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    header_list,
    name::ChannelName,
    protocol::{Http, WebSocket},
    rejection::Rejection,
    scope::{OpensOverHttp, Protocol, Scope},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{marker::PhantomData, str::FromStr};

/// A client at the door, before the answer: look, join groups, decide.
///
/// There is no `send` here: nothing can be sent before the door is open.
///
/// ```
/// use seaway::{Group, Handshake, Rejection, Result};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { text: String } }
/// # struct Chat { name: String, room: Group<Said> }
/// async fn connect(handshake: &mut Handshake<Said>) -> Result<Chat, Rejection> {
///     let name = handshake.query("name")?;
///     let room: String = handshake.param("room")?;
///     handshake.choose_subprotocol(&["chat.v2", "chat.v1"]);
///     Ok(Chat { name, room: handshake.join(&format!("chat.{room}")).await? })
/// }
/// ```
///
/// A consumer that answers a request has an [`HttpHandshake`], which can do the same but for subprotocols.
pub struct Handshake<E = NoEvent, P: Protocol = WebSocket> {
    pub(super) scope: Scope<P>,
    pub(super) address: Address,
    pub(super) headers: HeaderMap,
    pub(super) event: PhantomData<fn(E)>,
}

/// A request at the door, before the answer; see [`Handshake`] and [`HttpConsumer`](super::HttpConsumer).
pub type HttpHandshake<E = NoEvent> = Handshake<E, Http>;

impl<E: Event, P: OpensOverHttp> Handshake<E, P> {
    /// The facts of the connection.
    pub fn scope(&self) -> &Scope<P> {
        &self.scope
    }

    /// The facts of the connection, to add to.
    pub fn scope_mut(&mut self) -> &mut Scope<P> {
        &mut self.scope
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.scope.head.headers
    }

    /// Returns a cookie's value, decoded. If several have the name, the first counts; see [`Cookies`](crate::Cookies).
    pub fn cookie(&self, name: &str) -> Option<String> {
        let mut cookies = self.scope.cookies();
        let cookie = cookies.find(|cookie| cookie.name() == name)?;
        Some(cookie.value().to_owned())
    }

    /// A path parameter.
    ///
    /// # Errors
    /// Refuses with 404 if the text is no `T`; see [`Scope::path`].
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        self.scope.param(name)
    }

    /// A query parameter that must be there.
    ///
    /// # Errors
    /// Refuses with 400 if it is missing or no `T`. For one that may be missing see [`Scope::query`].
    pub fn query<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        let text = self.scope.query(name);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let text = format!("the query parameter {name:?} is missing or malformed");
            Rejection::new(StatusCode::BAD_REQUEST, text.clone()).because(text)
        })
    }

    /// A value that [`Provide`](crate::middleware::Provide) or other middleware has put in.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`]; through `?` it refuses with 500.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.get()
    }

    /// A value made from the facts of the connection: the session, the user, cookies, a type of yours.
    ///
    /// # Errors
    /// The value's own refusal.
    pub async fn extract<T: FromScope<P>>(&self) -> Result<T, Rejection> {
        T::from_scope(&self.scope).await
    }

    /// Headers of the reply that accepts a socket, or of the answer that the handler of a request makes. A refusal has
    /// its own.
    ///
    /// What an answer says itself stands, a text's `content-type` too; a `set-cookie` goes out beside the answer's own.
    pub fn reply_headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Makes this consumer a member of the group, whose events arrive once the door is open. Leaving happens by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if it is no group name (through `?` a 400), [`ErrorKind::Layer`] if the channel layer did
    /// not take it (a 503).
    pub async fn join(&self, group: &str) -> Result<Group<E>> {
        self.address.join(group).await
    }

    /// The channel layer.
    pub fn channels(&self) -> &Channels {
        &self.address.channels
    }
}

impl<E: Event> Handshake<E> {
    /// The subprotocols that the client offers, its favourite first (RFC 6455, 1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        header_list::items(self.headers(), header::SEC_WEBSOCKET_PROTOCOL)
    }

    /// Chooses the first of these subprotocols that the client offers, and tells it.
    ///
    /// `None` if it offers none of them: then none is in force, and you may still accept.
    ///
    /// # Panics
    /// If one of them can be no subprotocol and so never be offered: it is a token, without spaces or commas (RFC 6455,
    /// 4.1).
    #[track_caller]
    pub fn choose_subprotocol<'a>(&mut self, supported: &[&'a str]) -> Option<&'a str> {
        for name in supported {
            assert!(
                header_list::is_token(name),
                "{name:?} can be no subprotocol: no client can offer it (a token has no spaces, commas or slashes)"
            );
        }
        let offered = |name: &&&str| self.subprotocols().any(|offer| offer == **name);
        let chosen = *supported.iter().find(offered)?;
        // It equals a part of a header, so it can be one.
        let value = HeaderValue::from_str(chosen).ok()?;
        self.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        Some(chosen)
    }

    /// This consumer's own channel: its address for everyone, in every process.
    pub fn channel(&self) -> &ChannelName {
        let mailbox = self.address.mailbox();
        mailbox.expect("a socket's is opened first").name()
    }

    /// Hands it to a hook on another thread, which gives it back; an empty one is left here.
    pub(super) fn lend(&mut self) -> Self {
        let empty = Self {
            scope: Scope::empty(),
            address: Address::new(self.address.channels.clone()),
            headers: HeaderMap::new(),
            event: PhantomData,
        };
        std::mem::replace(self, empty)
    }
}

impl<E: Event> HttpHandshake<E> {
    /// The id of the last event that a browser's `EventSource` has heard before it lost the stream, if this is one that
    /// comes back.
    pub fn last_event_id(&self) -> Option<&str> {
        let id = self.headers().get("last-event-id")?;
        std::str::from_utf8(id.as_bytes()).ok()
    }

    /// This consumer's own channel: its address for everyone, in every process.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not open one.
    pub async fn channel(&self) -> Result<&ChannelName> {
        Ok(self.address.open().await?.name())
    }
}

/// A handshake that took too long.
pub(super) fn too_slow() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "a consumer's connect took longer than its connect_timeout",
    )
}
