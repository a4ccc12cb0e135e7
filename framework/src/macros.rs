//! The macros, re-exported with their documentation.

/// Derives [`Event`](trait@crate::Event) for an enum of events that consumers send each other.
///
/// It implements `Serialize` and `Deserialize` with a `type`, derived from variant names, so no
/// serde attributes are needed. It also lists the types, against which
/// [`#[on]`](macro@crate::consumer#events) is checked.
///
/// ```
/// use seaway::{Event, channels::Envelope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event)]
/// enum ChatEvent {
///     /// `{"type": "chat.message", "text": …}`
///     Message { text: String },
///     /// `{"type": "chat.here", "names": …}`: the fields of the struct, with the type added.
///     Here(HereList),
///     #[event("chat.gone")]
///     Left,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct HereList {
///     names: Vec<String>,
/// }
///
/// let event = ChatEvent::Message { text: "ahoy".to_owned() };
/// assert_eq!(serde_json::to_string(&event)?, r#"{"type":"chat.message","text":"ahoy"}"#);
/// let left = Envelope::encode(&ChatEvent::Left)?;
/// assert_eq!(left.kind().as_deref(), Some("chat.gone"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Types
///
/// A type is a prefix, a period and the variant in snake case. The prefix is the enum's name
/// without `Event`, in snake case: `RoomListEvent` has `room_list`. `#[event(prefix = "room")]` on
/// the enum sets another prefix, and `#[event("chat.gone")]` on a variant sets its whole type.
/// Types consist of lower case letters, digits, underscores and periods, as in Django Channels;
/// those that begin with `seaway.` are reserved for the framework.
///
/// # Variants
///
/// A variant has named fields, or no fields, or holds one struct that implements serde's traits,
/// since an event is a map on the wire. `#[serde(…)]` on fields and variants works as usual, except
/// for attributes that rename variants or set tags: the macro does that.
///
/// A variant with `#[event(include)]` holds another enum of events and stands for all of them, so
/// that a consumer can join groups of both ([`Includes`](crate::Includes)). A variant without
/// fields and with `#[serde(other)]` stands for all types that the enum does not know: a narrower
/// view of a group.
///
/// # TypeScript
///
/// With the feature `typescript`, `#[event(typescript)]` on the enum describes its events for the
/// browser client; the types of its fields derive `typescript::TS`.
pub use seaway_macros::Event;

/// Derives [`FromHandshake<Http>`](crate::FromHandshake) for a struct: one value for each field, as
/// [`#[derive(WebSocketConsumer)]`](macro@crate::WebSocketConsumer) does.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{
///     ApplicationExt, Channels, Event, Group, HttpConsumer, HttpContext, Json, HttpResponse, Result,
///     consumer, http::Method, routing::PathRouter, testing::HttpCommunicator,
/// };
///
/// #[derive(Event)]
/// enum ChatEvent {
///     Message { text: String },
/// }
///
/// /// Sends the body of a request to a room.
/// #[derive(HttpConsumer)]
/// struct Post {
///     #[group("chat.{room}")]
///     room: Group<ChatEvent>,
/// }
///
/// #[consumer]
/// impl Post {
///     const METHODS: &'static [Method] = &[Method::POST];
///
///     async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
///         let body = ctx.body().await?;
///         let text = String::from_utf8_lossy(&body).into_owned();
///         self.room.send(&ChatEvent::Message { text }).await?;
///         ctx.response(Json("sent"))
///     }
/// }
///
/// let channels = Channels::in_memory();
/// let app = PathRouter::new().route("/rooms/{room}", Post::application(&channels)).boxed();
/// let request = http::Request::post("/rooms/lobby").body("ahoy").unwrap();
///
/// let mut page = HttpCommunicator::open(&app, request);
///
/// assert_eq!(page.receive().await.unwrap(), r#""sent""#);
/// # });
/// ```
pub use seaway_macros::HttpConsumer;

/// Derives [`FromHandshake`](crate::FromHandshake) for a struct: one value for each field.
///
/// [`#[consumer]`](macro@crate::consumer) calls it in `connect`. A field that has no value rejects
/// the client with the status below, before the handshake is accepted.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{
///     ApplicationExt, Channels, Context, Cookies, Event, Group, Json, Result, WebSocketConsumer, consumer,
///     middleware::Provide, routing::PathRouter, testing::WebSocketCommunicator,
/// };
/// use std::sync::Arc;
///
/// #[derive(Event)]
/// enum LotEvent {
///     Placed { by: String, cents: u64 },
/// }
///
/// #[derive(WebSocketConsumer)]
/// struct Bidder {
///     #[param]
///     lot: u32,
///     #[query]
///     name: String,
///     #[query]
///     since: Option<u64>,
///     #[state]
///     rules: Arc<str>,
///     cookies: Cookies,
///     #[group("lot.{lot}")]
///     bidders: Group<LotEvent>,
///     #[default(100)]
///     highest: u64,
/// }
///
/// #[consumer]
/// impl Bidder {
///     async fn opened(&mut self, ctx: &mut Context<LotEvent>) -> Result<()> {
///         Ok(ctx.send(Json((self.lot, &self.name, self.since, &*self.rules, self.highest))).await?)
///     }
/// }
///
/// let rules: Arc<str> = "whole cents".into();
/// let app = PathRouter::new().route("/lots/{lot}", Bidder::application(&Channels::in_memory()));
/// let app = app.with(Provide(rules)).boxed();
/// let open = |path| WebSocketCommunicator::open(&app, http::Request::get(path));
///
/// assert_eq!(open("/lots/7?name=ana").receive_text().await, r#"[7,"ana",null,"whole cents",100]"#);
/// assert_eq!(open("/lots/seven?name=ana").status().await, 404);
/// assert_eq!(open("/lots/7").status().await, 400);
/// assert_eq!(open("/lots/7?name=ana&since=now").status().await, 400);
/// # });
/// ```
///
/// # Where fields come from
///
/// | attribute | the field is | otherwise the client gets |
/// | --- | --- | --- |
/// | `#[param]`, `#[param("name")]` | a path parameter, by `FromStr` | 404 |
/// | `#[query]`, `#[query("name")]` | a query parameter, by `FromStr` | 400 |
/// | `#[session("key")]` | a value in the session | 401 |
/// | `#[user]` | the logged-in user | 401 |
/// | `#[state]` | a value from [`Provide`](crate::middleware::Provide) or a startup function | nothing: [`serve`](crate::serve) fails at startup and names the type; under another server 500 |
/// | `#[group("chat.{room}")]` | a [`Group`](crate::Group) that the consumer joins | 400 if the group name is invalid |
/// | `#[presence("lot.{lot}", key = user)]` | a [`Presence`](crate::Presence) that the consumer takes part in | the same |
/// | `#[topic("lot.{lot}")]` | a [`Topic`](crate::Topic) that is resumed from the position that the client names | the same, also if the position is malformed |
/// | `#[default]`, `#[default(value)]` | `Default::default()`, or the value | |
/// | none | any [extractor](crate::FromScope) | the extractor's rejection |
///
/// A field of type `Option` from the path, the query, the session or the user may be absent; a
/// malformed value is still rejected. A parameter has the name of its field unless the attribute
/// sets one. `#[session]` and `#[user]` need the feature `sessions`, and the session or auth
/// middleware around the consumer.
///
/// Fields are set in order of declaration, so the value of a `#[default(…)]` may use the fields
/// above it. Groups, presences and topics are joined last: a client that is rejected by another
/// field has joined no group.
///
/// # Groups
///
/// A name in braces is a field that is not a group, formatted with `Display`, or else a path
/// parameter. Path parameters are known only where the consumer is routed, so the compiler cannot
/// check their names: a server whose routes do not have one does not start. Inside another server
/// the client gets 500, and the log names the struct, the group, its fields and the path
/// parameters. The struct's event type is that of its first group, presence or topic: for a
/// `Topic<LotEvent>` it is [`TopicEvent<LotEvent>`](crate::TopicEvent). Without one it is
/// [`NoEvent`](crate::NoEvent), or the type in `#[consumer(event = ChatEvent)]` on the struct.
pub use seaway_macros::WebSocketConsumer;

/// Implements [`WebSocketConsumer`](trait@crate::WebSocketConsumer) or
/// [`HttpConsumer`](trait@crate::HttpConsumer) with the methods of an `impl` block.
///
/// The methods themselves are not changed, and can be called by name.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{
///     ApplicationExt, Channels, Close, Context, Event, Group, Json, Result, Shared, WebSocketConsumer, consumer,
///     routing::PathRouter, testing::WebSocketCommunicator,
/// };
///
/// #[derive(Event)]
/// enum ChatEvent {
///     Message { from: String, text: String },
///     Left { name: String },
/// }
///
/// #[derive(WebSocketConsumer)]
/// struct Chat {
///     #[query]
///     name: String,
///     #[group("chat.{room}")]
///     room: Group<ChatEvent>,
/// }
///
/// #[consumer]
/// impl Chat {
///     #[on_message("say")]
///     async fn say(&mut self, text: String) -> Result<()> {
///         let from = self.name.clone();
///         Ok(self.room.send(&ChatEvent::Message { from, text }).await?)
///     }
///
///     #[on("chat.message")]
///     async fn message(&mut self, ctx: &mut Context<ChatEvent>, event: Shared<ChatEvent>) -> Result<()> {
///         Ok(ctx.send(Json(event)).await?)
///     }
///
///     #[on("chat.left")]
///     async fn left(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
///         Ok(ctx.send("somebody left").await?)
///     }
///
///     #[every(seconds = 30)]
///     async fn beat(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
///         Ok(ctx.send("still here").await?)
///     }
///
///     async fn disconnect(self, _: Close) {
///         _ = self.room.send(&ChatEvent::Left { name: self.name }).await;
///     }
/// }
///
/// let app = PathRouter::new().route("/ws/{room}", Chat::application(&Channels::in_memory())).boxed();
/// let mut ana = WebSocketCommunicator::open(&app, http::Request::get("/ws/lobby?name=ana"));
///
/// ana.send(r#"{"type": "say", "text": "ahoy"}"#).await;
///
/// assert_eq!(ana.receive_text().await, r#"{"type":"chat.message","from":"ana","text":"ahoy"}"#);
/// # });
/// ```
///
/// A method may be async or not, return `Result<()>`, a `Result` with any other error, or nothing,
/// and optionally take the context as its first parameter. `connect` returns `Result<Self,
/// Rejection>`, or a `Result` with any other error.
///
/// # Hooks
///
/// Methods with these names are hooks, as in [the trait](trait@crate::WebSocketConsumer):
/// `connect`, `opened`, `receive`, `event`, `malformed`, `missed`, `failed`, `disconnect`. All are
/// optional. Without `connect` the struct is created by `#[derive(WebSocketConsumer)]`. Without
/// `receive` and `#[on_message]`, any message from the client is malformed (default: close with
/// 1007).
///
/// # Messages
///
/// `#[on_message("say")]` handles JSON from the client with that `type`. The parameters are its
/// fields, by name, and take `#[serde(…)]`; or one parameter `Json(message): Json<T>` takes the
/// whole message. Any other message from the client is malformed. A consumer has either such
/// methods, or one `receive` for all messages, with a type of your choice.
///
/// `#[on_message("bid", reply)]` replies: the method returns a `Result`, which is sent to the
/// client under the `id` of its message, as `ok` or `error`:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{ApplicationExt, Channels, WebSocketConsumer, consumer, testing::WebSocketCommunicator};
///
/// #[derive(WebSocketConsumer)]
/// struct Calculator {}
///
/// #[consumer]
/// impl Calculator {
///     #[on_message("divide", reply)]
///     fn divide(&mut self, dividend: u32, divisor: u32) -> Result<u32, &'static str> {
///         dividend.checked_div(divisor).ok_or("nothing can be divided by 0")
///     }
/// }
///
/// let app = Calculator::application(&Channels::in_memory());
/// let mut client = WebSocketCommunicator::open(&app, http::Request::get("/"));
///
/// client.send(r#"{"type": "divide", "id": 7, "dividend": 6, "divisor": 3}"#).await;
/// assert_eq!(client.receive_text().await, r#"{"type":"reply","id":7,"ok":2}"#);
///
/// client.send(r#"{"type": "divide", "id": 8, "dividend": 6, "divisor": 0}"#).await;
/// let reply = r#"{"type":"reply","id":8,"error":"nothing can be divided by 0"}"#;
/// assert_eq!(client.receive_text().await, reply);
/// # });
/// ```
///
/// The guide `docs/macros.md` has the wire format, and says which errors the client does not see.
///
/// # Events
///
/// `#[on("chat.message")]` handles events of that type, of an enum with
/// [`derive(Event)`](macro@crate::Event). After the context the method takes the event as a
/// [`Shared`](crate::Shared), or as `&Payload` for a variant that holds a struct, or nothing. A
/// method may have several such attributes. Every type needs a method, or there is an `event` for
/// the rest; a misspelt or missing type does not compile. `#[on(Lot)]` handles all events of a
/// variant `Lot` with `#[event(include)]`, and takes what it holds: `&LotEvent`.
///
/// `#[consumer(forward)]` sends every event without a method to the client as JSON, unchanged;
/// `#[consumer(forward("chat.message", "chat.left"))]` sends these.
///
/// With the feature `typescript`, `#[consumer(forward, typescript)]` describes the messages and the
/// forwarded events for the browser client; see `docs/browser-client.md`.
///
/// The event type is that of the struct's first group, unless `#[consumer(event = ChatEvent)]` or
/// your own `connect` sets another.
///
/// # Timers
///
/// `#[every(seconds = 30)]`, `millis` or `minutes` runs a method periodically while the connection
/// is open, first one period after it opened.
///
/// # HTTP consumers
///
/// A block with a `handle` that takes an [`HttpContext`](crate::HttpContext) is an
/// [`HttpConsumer`](trait@crate::HttpConsumer). Its other hooks are `connect` and `disconnect`, and
/// the constants of the trait (`METHODS`, `MAX_BODY`, …) may be set in the block.
///
/// `#[consumer(sse)]` writes `handle`: a stream of server-sent events, until the client leaves or
/// the server stops. Its hooks are `connect`, `opened`, `event`, `missed` and `disconnect`, and
/// `#[on]` and `forward` work as for WebSockets. Methods may take the stream after the context:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{
///     ApplicationExt, Channels, Event, Group, HttpConsumer, Result, Sse, consumer,
///     routing::PathRouter, testing::HttpCommunicator,
/// };
///
/// #[derive(Event)]
/// enum ChatEvent {
///     Message { text: String },
///     Left { name: String },
/// }
///
/// #[derive(HttpConsumer)]
/// struct Feed {
///     #[group("chat.{room}")]
///     room: Group<ChatEvent>,
/// }
///
/// #[consumer(sse, forward("chat.message"))]
/// impl Feed {
///     async fn opened(&mut self, events: &Sse) -> Result<()> {
///         Ok(events.send("welcome").await?)
///     }
///
///     #[on("chat.left")]
///     async fn left(&mut self, events: &Sse) -> Result<()> {
///         Ok(events.send("somebody left").await?)
///     }
/// }
///
/// let channels = Channels::in_memory();
/// let app = PathRouter::new().route("/feed/{room}", Feed::application(&channels)).boxed();
/// let request = http::Request::get("/feed/lobby").body("").unwrap();
/// let mut page = HttpCommunicator::open(&app, request);
/// assert_eq!(page.receive_event().await.data, "welcome");
///
/// let room = channels.group("chat.lobby")?;
/// room.send(&ChatEvent::Message { text: "ahoy".into() }).await?;
///
/// assert_eq!(page.receive_event().await.data, r#"{"type":"chat.message","text":"ahoy"}"#);
/// # seaway::Result::<()>::Ok(()) }).unwrap();
/// ```
pub use seaway_macros::consumer;
