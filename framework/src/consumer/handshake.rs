//! The handshake of a consumer: a connection before it is accepted.

use super::{NoEvent, address::ConsumerAddress};
use crate::{
    channels::{
        Channels, Event, Group, Includes, Meta, Position, Positions, Presence, PresenceEvent,
        Topic, TopicEvent,
    },
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    header_list,
    name::{ChannelName, IntoGroupName},
    protocol::{Http, WebSocket},
    rejection::Rejection,
    rejection_log::Rule,
    scope::{OpensOverHttp, Protocol, Scope},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{fmt, marker::PhantomData, str::FromStr};

/// A connection before it is accepted, for reading the request and joining groups.
///
/// It has no `send`: no message can be sent before the handshake is accepted.
///
/// ```
/// use seaway::{Group, Handshake, Rejection, Result};
/// # #[derive(seaway::Event)] enum ChatEvent { Message { text: String } }
/// # struct Chat { name: String, room: Group<ChatEvent> }
/// async fn connect(handshake: &mut Handshake<ChatEvent>) -> Result<Chat, Rejection> {
///     let name = handshake.query("name")?;
///     let room: String = handshake.param("room")?;
///     handshake.choose_subprotocol(&["chat.v2", "chat.v1"]);
///     Ok(Chat { name, room: handshake.join(format!("chat.{room}")).await? })
/// }
/// ```
///
/// An HTTP consumer gets an [`HttpHandshake`], which has the same methods except those for
/// subprotocols.
pub struct Handshake<E = NoEvent, P: Protocol = WebSocket> {
    pub(super) scope: Scope<P>,
    pub(super) address: ConsumerAddress,
    pub(super) headers: HeaderMap,
    pub(super) event: PhantomData<fn(E)>,
}

/// The [`Handshake`] of an [`HttpConsumer`](super::HttpConsumer): an HTTP request before it is
/// accepted.
pub type HttpHandshake<E = NoEvent> = Handshake<E, Http>;

impl<E: Event, P: OpensOverHttp> Handshake<E, P> {
    /// Returns the scope: the metadata of the connection.
    pub fn scope(&self) -> &Scope<P> {
        &self.scope
    }

    /// Returns a mutable reference to the scope.
    pub fn scope_mut(&mut self) -> &mut Scope<P> {
        &mut self.scope
    }

    /// Returns the request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.scope.head.headers
    }

    /// Returns a cookie's value, decoded.
    ///
    /// ```
    /// # fn connect(handshake: &mut seaway::Handshake) {
    /// let language = handshake.cookie("lang").unwrap_or_else(|| "en".to_owned());
    /// # }
    /// ```
    ///
    /// If several have the name, the first counts; see [`Cookies`](crate::Cookies).
    pub fn cookie(&self, name: &str) -> Option<String> {
        let mut cookies = self.scope.cookies();
        let cookie = cookies.find(|cookie| cookie.name() == name)?;
        Some(cookie.value().to_owned())
    }

    /// Returns a path parameter, parsed as `T`.
    ///
    /// # Errors
    /// Rejects with 404 if the text does not parse; see [`Scope::param`].
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        self.scope.param(name)
    }

    /// Returns a path parameter, parsed as `T`, or `None` if no router has one of that name.
    ///
    /// ```
    /// # fn connect(handshake: &mut seaway::Handshake) -> Result<(), seaway::Rejection> {
    /// let page = handshake.param_opt("page")?.unwrap_or(1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Rejects with 404 if the text does not parse.
    pub fn param_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, Rejection> {
        self.scope.param_opt(name)
    }

    /// Returns a path parameter as text, percent-decoded.
    ///
    /// ```
    /// # fn connect(handshake: &mut seaway::Handshake) {
    /// let room = handshake.raw_param("room").unwrap_or("lobby");
    /// # }
    /// ```
    pub fn raw_param(&self, name: &str) -> Option<&str> {
        self.scope.raw_param(name)
    }

    /// Returns a required query parameter, parsed as `T`.
    ///
    /// # Errors
    /// Rejects with 400 if it is missing or does not parse.
    pub fn query<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        self.scope.query(name)
    }

    /// Returns an optional query parameter, parsed as `T`.
    ///
    /// ```
    /// # fn connect(handshake: &mut seaway::Handshake) -> Result<(), seaway::Rejection> {
    /// let limit = handshake.query_opt("limit")?.unwrap_or(50);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Rejects with 400 if it is there and does not parse.
    pub fn query_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, Rejection> {
        self.scope.query_opt(name)
    }

    /// Returns the first value of a query parameter as text, decoded (`+` is a space).
    pub fn raw_query(&self, name: &str) -> Option<String> {
        self.scope.raw_query(name)
    }

    /// Returns a value that [`Provide`](crate::middleware::Provide), other middleware or a startup
    /// function has added, by its type.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if there is none of this type; through `?` it rejects with 500.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.state()
    }

    /// Extracts a value from the scope: the session, the user, cookies, your own type.
    ///
    /// # Errors
    /// The rejection of the extractor `T`.
    pub async fn extract<T: FromScope<P>>(&self) -> Result<T, Rejection> {
        T::from_scope(&self.scope).await
    }

    /// Returns the headers to add to the response if the client is accepted: to the 101, or to the
    /// response of an HTTP consumer.
    ///
    /// They are not added to a rejection, which has its own headers.
    ///
    /// A header that the response itself sets, such as the `content-type` of a text, takes
    /// precedence; a `set-cookie` is sent in addition to the response's own.
    pub fn response_headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Adds this consumer to a group, whose events arrive once the handshake is accepted.
    ///
    /// The membership ends with the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if `group` is not a valid group name (through `?` a 400),
    /// [`ErrorKind::Layer`] if the channel layer did not accept it (a 503).
    pub async fn join(&self, group: impl IntoGroupName) -> Result<Group<E>> {
        self.address.join(group).await
    }

    /// Adds this consumer to a group of events that `E` [includes](crate::Includes): for consumers
    /// that receive the events of groups with different event types.
    ///
    /// ```
    /// use seaway::{Handshake, Event, Group, Result};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Sold }
    ///
    /// #[derive(Event)]
    /// enum BidderEvent {
    ///     #[event(include)]
    ///     Lot(LotEvent),
    /// }
    ///
    /// async fn watch(handshake: &mut Handshake<BidderEvent>) -> Result<Group<LotEvent>> {
    ///     Ok(handshake.join_as::<LotEvent>("lot.8").await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`join`](Handshake::join).
    pub async fn join_as<G: Event>(&self, group: impl IntoGroupName) -> Result<Group<G>>
    where
        E: Includes<G>,
    {
        self.address.join(group).await
    }

    /// Makes this consumer present in a group, as one of the connections of the person with this
    /// key.
    ///
    /// It becomes present once `connect` has succeeded, so that a client that `connect` rejects is
    /// not announced; of several presences, one may be announced before another is not stored. The
    /// consumer then receives the [whole list and its changes](PresenceEvent) as
    /// events. The presence ends with the connection; the person is present until the last of their
    /// connections has ended, and for a grace time after it.
    ///
    /// ```
    /// use seaway::{Handshake, Presence, PresenceEvent, Rejection};
    ///
    /// async fn connect(handshake: &mut Handshake<PresenceEvent<String>>) -> Result<Presence<String>, Rejection> {
    ///     let (lot, user): (u32, u64) = (handshake.param("lot")?, handshake.query("user")?);
    ///     let name = format!("user {user}");
    ///     Ok(handshake.present(format!("lot.{lot}"), user, name).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not a valid group name (through `?` a 400),
    /// [`ErrorKind::Layer`] if the channel layer has no presence (a 503), [`ErrorKind::TooLarge`]
    /// if the key has more than 256 bytes or the meta more than 16 KiB, [`ErrorKind::Codec`] if the
    /// meta cannot be encoded. If the channel layer does not store the presence after `connect`,
    /// the client is rejected with 503.
    ///
    /// # Cancel safety
    /// Safe: the consumer will be present or not.
    pub async fn present<M: Meta>(
        &self,
        group: impl IntoGroupName,
        key: impl ToString,
        meta: M,
    ) -> Result<Presence<M>>
    where
        E: Includes<PresenceEvent<M>>,
    {
        let key = key.to_string();
        let present = self.address.present_once_accepted(group, key, &meta);
        present.await
    }

    /// Resumes a topic: the consumer receives the events after a position, then live events.
    ///
    /// Once the handshake is accepted, the `event` hook gets the events after that position in
    /// order, each once, then [`TopicEvent::Recovered`], and then live events. If some of them are
    /// no longer known, it gets none of the old ones and `Recovered { all: false }`. Without a
    /// position it gets `Recovered { all: true }` with the current one. A later gap on the open
    /// connection is filled in the same way, or the consumer receives `Recovered { all: false }`.
    ///
    /// The topic is stored from then on, even without events. If a client chooses its name, first
    /// check it, for example that the lot exists.
    ///
    /// ```
    /// use seaway::{Event, Handshake, Rejection, Result, Topic, TopicEvent};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Placed { cents: u64 } }
    ///
    /// struct Bidder { lot: Topic<LotEvent> }
    ///
    /// async fn connect(handshake: &mut Handshake<TopicEvent<LotEvent>>) -> Result<Bidder, Rejection> {
    ///     let number: u32 = handshake.param("lot")?;
    ///     let lot = handshake.channels().topic(format!("lot.{number}"))?;
    ///     let since = handshake.since(&lot)?;
    ///     handshake.resume(&lot, since).await?;
    ///     Ok(Bidder { lot })
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not accept the membership, or cannot read the
    /// history (through `?` a 503).
    pub async fn resume<G: Event>(&self, topic: &Topic<G>, since: Option<Position>) -> Result<()>
    where
        E: Includes<TopicEvent<G>>,
    {
        self.address.resume(topic, since).await
    }

    /// Returns the positions in topics that the client has named in the query parameter `resume`,
    /// as `lot.7:12:k3x9,chat.3:5:abc`; an empty list without the parameter.
    ///
    /// ```
    /// # fn connect(handshake: &mut seaway::Handshake) -> Result<(), seaway::Rejection> {
    /// let positions = handshake.positions()?;
    /// let chat = positions.get("chat.3").cloned();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Rejects with 400 if it is malformed, or has more than 100 topics.
    pub fn positions(&self) -> Result<Positions, Rejection> {
        let text = self.scope.raw_query("resume").unwrap_or_default();
        text.parse().map_err(|error: Error| {
            let text = format!("the query parameter \"resume\" is malformed: {error}");
            Rejection::new(StatusCode::BAD_REQUEST, text.clone()).because(text)
        })
    }

    /// Returns the position in a topic from which the client resumes: that of `Last-Event-ID` if an
    /// `EventSource` reconnects, and otherwise that of the query parameter `resume`.
    ///
    /// An id that is no position of this topic, such as one of an earlier version of the program,
    /// is a position in no topic: resuming from it is a gap, and the client receives
    /// `Recovered { all: false }`.
    ///
    /// # Errors
    /// As [`positions`](Handshake::positions).
    pub fn since<G: Event>(&self, topic: &Topic<G>) -> Result<Option<Position>, Rejection> {
        if let Some(id) = self.headers().get("last-event-id") {
            let id = id.to_str().unwrap_or_default();
            return Ok(Some(position_in(id, topic.name().as_str())));
        }
        let positions = self.positions()?;
        Ok(positions.get(topic.name().as_str()).cloned())
    }

    /// Returns the handle to the channel layer.
    pub fn channels(&self) -> &Channels {
        &self.address.channels
    }
}

impl<E: Event> Handshake<E> {
    /// Returns the subprotocols that the client offers, in its order of preference (RFC 6455, 1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        header_list::items(self.headers(), header::SEC_WEBSOCKET_PROTOCOL)
    }

    /// Selects the first of these subprotocols that the client offers, and adds it to the 101.
    ///
    /// Returns `None` if the client offers none of them. The handshake can then be accepted without
    /// a subprotocol, or rejected.
    ///
    /// # Panics
    /// If a name is not a valid subprotocol, so that no client can offer it: it must be a token,
    /// without spaces or commas (RFC 6455, 4.1).
    #[track_caller]
    pub fn choose_subprotocol<'a>(&mut self, supported: &[&'a str]) -> Option<&'a str> {
        for name in supported {
            assert!(
                header_list::is_token(name),
                "{name:?} is not a valid subprotocol: use a token, without spaces, commas or slashes (RFC 6455, 4.1)"
            );
        }
        let offered = |name: &&&str| self.subprotocols().any(|offer| offer == **name);
        let chosen = *supported.iter().find(offered)?;
        // It equals an item of a request header, so it is a valid header value.
        let value = HeaderValue::from_str(chosen).ok()?;
        self.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        Some(chosen)
    }

    /// Returns the name of this consumer's own channel, its address in every process.
    pub fn channel(&self) -> &ChannelName {
        let mailbox = self.address.mailbox();
        mailbox.expect("the mailbox is opened first").name()
    }
}

impl<E: Event> HttpHandshake<E> {
    /// Returns the id of the last event that a reconnecting `EventSource` received
    /// (`Last-Event-ID`).
    pub fn last_event_id(&self) -> Option<&str> {
        let id = self.headers().get("last-event-id")?;
        std::str::from_utf8(id.as_bytes()).ok()
    }

    /// Returns the name of this consumer's own channel, its address in every process.
    ///
    /// ```
    /// use seaway::{HttpHandshake, Rejection};
    ///
    /// async fn connect(handshake: &mut HttpHandshake) -> Result<String, Rejection> {
    ///     Ok(handshake.channel().await?.to_string())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not open one.
    pub async fn channel(&self) -> Result<&ChannelName> {
        Ok(self.address.open().await?.name())
    }
}

/// Returns the position in a topic that an event id names: alone, or in a list.
fn position_in(id: &str, topic: &str) -> Position {
    if let Ok(position) = id.parse() {
        return position;
    }
    let positions: Positions = id.parse().unwrap_or_default();
    let position = positions.get(topic).cloned();
    position.unwrap_or_else(Position::unknown)
}

/// Returns the rejection for a `connect` that exceeded its timeout: with this message, unless the
/// channel layer is unavailable, for which it has probably waited.
pub(super) fn too_slow(channels: &Channels, message: &'static str) -> Rejection {
    match channels.health() {
        Ok(()) => Rejection::from(Error::new(ErrorKind::Timeout, message)).by(Rule::ConnectTimeout),
        Err(unavailable) => unavailable.into(),
    }
}

impl<E, P: OpensOverHttp> fmt::Debug for Handshake<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("path", &self.scope.head.uri.path())
            .finish_non_exhaustive()
    }
}
