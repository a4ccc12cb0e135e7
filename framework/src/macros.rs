//! The macros, documented where they are used.

/// Makes an enum an [`Event`](trait@crate::Event): what consumers tell each other.
///
/// It writes `Serialize` and `Deserialize` with a `type`, so that you need no serde of your own for it, and the list of
/// the types, which [`#[on]`](macro@crate::consumer#events) is checked against.
///
/// ```
/// use seaway::{Event, channels::Envelope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event)]
/// enum ChatEvent {
///     /// `{"type": "chat.message", "text": …}`
///     Message { text: String },
///     /// `{"type": "chat.here", "names": …}`: a struct of yours, with the type added.
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
/// let said = ChatEvent::Message { text: "ahoy".to_owned() };
/// assert_eq!(serde_json::to_string(&said)?, r#"{"type":"chat.message","text":"ahoy"}"#);
/// let left = Envelope::encode(&ChatEvent::Left)?;
/// assert_eq!(left.kind().as_deref(), Some("chat.gone"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Types
///
/// A type is a prefix, a period and the variant in snake case.
/// The prefix is the enum's name without `Event`, in snake case: `RoomListEvent` has `room_list`.
/// `#[event(prefix = "room")]` on the enum gives it another, and `#[event("chat.gone")]` gives a variant another type
/// altogether.
/// Types consist of lower case letters, digits, underscores and periods, as in Django Channels; those that begin with
/// `seaway.` are the framework's own.
///
/// # Variants
///
/// A variant has named fields, or none, or holds one struct that serde knows, since an event is a map on the wire.
/// `#[serde(…)]` on fields and variants means what it always means, except for what names and tags: the macro does that.
pub use seaway_macros::Event;

/// Fills a struct from the [`Handshake`](crate::Handshake): the first half of a consumer.
///
/// It writes [`FromHandshake`](crate::FromHandshake), which [`#[consumer]`](macro@crate::consumer) then calls in
/// `connect`. A field that cannot be filled refuses the client with a fitting status, before there is a socket.
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
///         ctx.send(Json((self.lot, &self.name, self.since, &*self.rules, self.highest))).await
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
/// | attribute | the field is | or the client is answered |
/// | --- | --- | --- |
/// | `#[param]`, `#[param("name")]` | a path parameter, by `FromStr` | 404 |
/// | `#[query]`, `#[query("name")]` | a query parameter, by `FromStr` | 400 |
/// | `#[session("key")]` | a value in the session | 401 |
/// | `#[user]` | the user who is logged in | 401 |
/// | `#[state]` | what [`Provide`](crate::middleware::Provide) put in | 500, and the log says what is missing |
/// | `#[group("chat.{room}")]` | a [`Group`](crate::Group) that it joins | 400 if there can be no group of that name |
/// | `#[default]`, `#[default(value)]` | `Default::default()`, or the value | |
/// | none | any [extractor](crate::FromScope) | what the extractor says |
///
/// An `Option` in a field from the path, the query, the session or the user may be absent; what is there and malformed is
/// refused all the same. Parameters are called as their fields unless you say otherwise. `#[session]` and `#[user]` need the
/// feature `sessions`, and middleware that knows them around the consumer.
///
/// Fields are filled in the order in which they stand, so the value of a `#[default(…)]` may use those above it. Groups
/// are joined last, once all else is known: a client that is refused has joined nothing.
///
/// # Groups
///
/// A name in braces is a field that is no group itself, written by `Display`, or else a path parameter. Which path
/// parameters there are is known only where the consumer is routed, so one that is misspelt is no mistake for the
/// compiler: the client is answered 500, and the log names the struct, the group, and what there is. The struct's
/// events are those of its first group; without one they are [`NoEvent`](crate::NoEvent), or what
/// `#[consumer(event = ChatEvent)]` on the struct says.
pub use seaway_macros::WebSocketConsumer;

/// Calls the methods of a struct: the second half of a consumer.
///
/// It stands on an `impl` block and writes `impl WebSocketConsumer`. The methods stay what they are, and may be called by
/// their names.
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
///         self.room.send(&ChatEvent::Message { from, text }).await
///     }
///
///     #[on("chat.message")]
///     async fn message(&mut self, ctx: &mut Context<ChatEvent>, event: Shared<ChatEvent>) -> Result<()> {
///         ctx.send(Json(event)).await
///     }
///
///     #[on("chat.left")]
///     async fn left(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
///         ctx.send("somebody left").await
///     }
///
///     #[every(seconds = 30)]
///     async fn beat(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
///         ctx.send("still here").await
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
/// A method may be async or not, return `Result<()>` or nothing, and take the context as its first parameter or do
/// without.
///
/// # Hooks
///
/// These names are called for what they say, as in [the trait](trait@crate::WebSocketConsumer): `connect`, `opened`,
/// `receive`, `event`, `malformed`, `missed`, `failed`, `disconnect`. All may be left out. Without a `connect` the struct is filled
/// by what `#[derive(WebSocketConsumer)]` has written; a consumer that hears nothing of its client ends the conversation
/// with 1007 if the client speaks.
///
/// # Messages
///
/// `#[on_message("say")]` is for JSON from the client with that `type`. The parameters are its fields, by name, and take
/// `#[serde(…)]`; or there is one parameter `Json(message): Json<T>` for the whole. Anything else that the client says is
/// malformed. A consumer has such methods, or one `receive` that takes all, as a type of your choice.
///
/// # Events
///
/// `#[on("chat.message")]` is for events of that type, of an enum with [`derive(Event)`](macro@crate::Event). After the
/// context it takes the event as a [`Shared`](crate::Shared), or `&Payload` of a variant that holds a struct, or nothing.
/// A method may have several such attributes. Every type has a method, or there is an `event` for the rest; a type that
/// is misspelt or forgotten does not compile.
///
/// The events are those of the struct's first group. `#[consumer(event = ChatEvent)]` says otherwise, and so does a
/// `connect` of your own.
///
/// # Timers
///
/// `#[every(seconds = 30)]`, `millis` or `minutes`: again and again while the conversation lasts, for the first time one
/// period after the door opened.
pub use seaway_macros::consumer;
