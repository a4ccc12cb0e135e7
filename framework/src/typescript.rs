//! The messages of consumers as TypeScript, for clients in a browser.
//!
//! `#[consumer(typescript)]` describes what a consumer sends and accepts, and
//! `#[event(typescript)]` the events that it forwards. A test writes the description to a file, and
//! fails when the two differ:
//!
//! ```
//! use seaway::{
//!     Context, Event, Result, WebSocketConsumer, consumer,
//!     typescript::{Schema, TS},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, TS)]
//! #[ts(crate = "seaway::typescript::ts_rs")]
//! struct Lot {
//!     title: String,
//!     cents: u64,
//! }
//!
//! #[derive(Event)]
//! #[event(typescript)]
//! enum LotEvent {
//!     Raised(Lot),
//!     Ended,
//! }
//!
//! #[derive(Serialize, TS)]
//! #[ts(crate = "seaway::typescript::ts_rs")]
//! #[serde(rename_all = "snake_case")]
//! enum Refusal {
//!     Ended,
//! }
//!
//! #[derive(WebSocketConsumer)]
//! #[consumer(event = LotEvent)]
//! struct Bidder {}
//!
//! #[consumer(event = LotEvent, forward, typescript)]
//! impl Bidder {
//!     #[on_message("bid", reply)]
//!     async fn bid(&mut self, cents: u64) -> Result<Result<Lot, Refusal>> {
//! #       _ = cents;
//! #       Ok(Err(Refusal::Ended))
//!         // …
//!     }
//!
//!     #[on_message("typing")]
//!     async fn typing(&mut self, on: bool) -> Result<()> {
//! #       _ = on;
//! #       Ok(())
//!         // …
//!     }
//! }
//!
//! let schema = Schema::of::<Bidder>("Auction");
//! let text = schema.to_string();
//! assert!(text.contains("bid: { params: { cents: number, }; ok: Lot; error: Refusal };"), "{text}");
//! // In a test: schema.assert_in("static/auction.ts");
//! ```
//!
//! An enum that includes the events of topics and a presence is described in the same way: by its
//! events, since the browser client keeps positions and presence itself.
//!
//! ```
//! use seaway::{Event, PresenceEvent, TopicEvent};
//!
//! #[derive(Event)]
//! #[event(typescript)]
//! enum DocEvent {
//!     Edited { text: String },
//! }
//!
//! #[derive(Event)]
//! #[event(typescript)]
//! enum PageEvent {
//!     #[event(include)]
//!     Doc(TopicEvent<DocEvent>),
//!     #[event(include)]
//!     Here(PresenceEvent<String>),
//! }
//! ```
//!
//! With `connect<Auction>("/ws")` of the browser client, `socket.on`, `socket.send` and
//! `socket.request` accept what the consumer sends and takes, and nothing else.
//!
//! The types come from ts-rs, which reads serde's attributes. Integers of 64 bits are `number`: in
//! JSON, a browser reads them as such, exactly up to 2⁵³.

pub use ts_rs::{self, TS};

use crate::{
    channels::{PresenceEvent, TopicEvent},
    error::{AnyError, Error},
};
use std::{
    any::TypeId,
    collections::{BTreeMap, HashSet},
    env, fmt, fs,
    path::Path,
};
use ts_rs::{Config, TypeVisitor};

/// An enum of events that has a description in TypeScript: `#[derive(Event)]` with
/// `#[event(typescript)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no description in TypeScript",
    note = "put #[event(typescript)] on the enum, below #[derive(Event)]"
)]
pub trait Described {
    /// A type with the same description.
    type Description: TS + 'static;
}

/// Described as the browser client passes it to `socket.on`: the event without its position.
impl<E: Described> Described for TopicEvent<E> {
    type Description = E::Description;
}

/// The browser client keeps presence itself, and passes none of it to `socket.on`.
impl<M> Described for PresenceEvent<M> {
    type Description = NotPassed;
}

/// Events that the browser client handles itself.
#[doc(hidden)]
#[derive(Debug, TS)]
pub enum NotPassed {}

/// A consumer whose messages have a description in TypeScript: `#[consumer(typescript)]` implements
/// it.
#[diagnostic::on_unimplemented(
    message = "the messages of `{Self}` have no description in TypeScript",
    note = "write #[consumer(typescript)] above its impl block"
)]
pub trait DescribedConsumer {
    #[doc(hidden)]
    fn describe(schema: &mut Schema);
}

/// The result of a request, whose `Ok` and `Err` are sent to the client.
#[doc(hidden)]
pub trait DescribedReply {
    /// Returns the types of `ok` and `error`.
    fn describe(schema: &mut Schema) -> (String, String);
}

/// An error of a request: sent to the client, or hidden as a `fault`.
#[doc(hidden)]
pub trait DescribedError {
    /// Returns the type of `error`.
    fn describe(schema: &mut Schema) -> String;
}

impl<T: TS + 'static, E: DescribedError> DescribedReply for Result<T, E> {
    fn describe(schema: &mut Schema) -> (String, String) {
        (schema.name_of::<T>(), E::describe(schema))
    }
}

impl<E: TS + 'static> DescribedError for E {
    fn describe(schema: &mut Schema) -> String {
        schema.name_of::<E>()
    }
}

impl DescribedError for Error {
    fn describe(_: &mut Schema) -> String {
        "never".to_owned()
    }
}

impl DescribedError for AnyError {
    fn describe(_: &mut Schema) -> String {
        "never".to_owned()
    }
}

/// The description of a consumer's messages in TypeScript.
///
/// Its `Display` is the text of a module.
#[must_use = "a description does nothing until it is written or compared"]
pub struct Schema {
    name: String,
    config: Config,
    events: Vec<String>,
    messages: Vec<String>,
    requests: Vec<String>,
    /// The declarations of the types that the messages contain, by name.
    types: BTreeMap<String, String>,
    /// The types that are declared, with all that they contain.
    declared: HashSet<TypeId>,
}

impl Schema {
    /// Describes a consumer; `name` is that of the interface in TypeScript.
    ///
    /// # Panics
    /// If two different types have one name in TypeScript; `#[ts(rename = "…")]` gives one of them
    /// another.
    pub fn of<C: DescribedConsumer>(name: impl Into<String>) -> Self {
        let mut schema = Self {
            name: name.into(),
            config: Config::new().with_large_int("number"),
            events: Vec::new(),
            messages: Vec::new(),
            requests: Vec::new(),
            types: BTreeMap::new(),
            declared: HashSet::new(),
        };
        C::describe(&mut schema);
        schema
    }

    /// Adds a message that the consumer sends by itself, besides the events that it forwards: a
    /// type that has a `type` in JSON.
    ///
    /// ```
    /// use seaway::typescript::{DescribedConsumer, Schema, TS};
    ///
    /// #[derive(serde::Serialize, TS)]
    /// #[ts(crate = "seaway::typescript::ts_rs")]
    /// #[serde(tag = "type", rename = "welcome")]
    /// struct Welcome {
    ///     name: String,
    /// }
    ///
    /// fn described<C: DescribedConsumer>() -> Schema {
    ///     Schema::of::<C>("Chat").event::<Welcome>()
    /// }
    /// ```
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub fn event<T: TS + 'static>(mut self) -> Self {
        let event = self.name_of::<T>();
        self.events.push(event);
        self
    }

    /// Adds all events of an enum; for the macro.
    #[doc(hidden)]
    pub fn add_events<E: Described>(&mut self) {
        let events = self.inline::<E::Description>();
        self.events.push(events);
    }

    /// Adds the events of an enum that have these types; for the macro.
    #[doc(hidden)]
    pub fn add_events_of<E: Described>(&mut self, types: &[&str]) {
        let events = self.inline::<E::Description>();
        let types: Vec<String> = types.iter().map(|kind| format!("{kind:?}")).collect();
        let types = types.join(" | ");
        self.events
            .push(format!("Extract<{events}, {{ type: {types} }}>"));
    }

    /// Adds a message without a reply; for the macro.
    #[doc(hidden)]
    pub fn add_message<P: TS + 'static>(&mut self, kind: &str) {
        let mut params = self.inline::<P>();
        // `&` binds more tightly than the `|` of an enum.
        if params.contains('|') {
            params = format!("({params})");
        }
        self.messages
            .push(format!("{{ type: {kind:?} }} & {params}"));
    }

    /// Adds a request; for the macro.
    #[doc(hidden)]
    pub fn add_request<P: TS + 'static, R: DescribedReply>(&mut self, kind: &str) {
        let params = self.inline::<P>();
        let (ok, error) = R::describe(self);
        let is_name = kind.starts_with(|first: char| first.is_ascii_alphabetic())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let key = match is_name {
            true => kind.to_owned(),
            false => format!("{kind:?}"),
        };
        self.requests.push(format!(
            "{key}: {{ params: {params}; ok: {ok}; error: {error} }};"
        ));
    }

    /// Checks that a file has this description.
    ///
    /// ```no_run
    /// use seaway::typescript::{DescribedConsumer, Schema};
    ///
    /// /// In a test: `check::<Bidder>()`.
    /// fn check<C: DescribedConsumer>() {
    ///     Schema::of::<C>("Auction").assert_in("static/auction.ts");
    /// }
    /// ```
    ///
    /// With `SEAWAY_TYPES=write` in the environment it writes the file instead. A relative path
    /// begins at the folder in which the test runs, that of its package.
    ///
    /// # Panics
    /// If the file differs, or cannot be read or written.
    #[track_caller]
    pub fn assert_in(&self, path: impl AsRef<Path>) {
        let (path, text) = (path.as_ref(), self.to_string());
        let shown = path.display();
        if env::var_os("SEAWAY_TYPES").is_some_and(|wish| wish == "write") {
            if let Err(error) = fs::write(path, &text) {
                panic!("cannot write the types to {shown}: {error}");
            }
            return;
        }
        match fs::read_to_string(path) {
            Ok(found) if found == text => {}
            Ok(_) => panic!(
                "{shown} has other types than the program: run this test with SEAWAY_TYPES=write, and commit the file"
            ),
            Err(error) => panic!(
                "cannot read the types in {shown}: {error}; to write them, run this test with SEAWAY_TYPES=write"
            ),
        }
    }

    /// Returns how a type is written where it is used.
    fn name_of<T: TS + 'static>(&mut self) -> String {
        self.declare::<T>();
        T::name(&self.config)
    }

    /// Returns the description of a type without its name.
    fn inline<T: TS + 'static>(&mut self) -> String {
        T::visit_dependencies(self);
        T::inline(&self.config)
    }

    /// Adds the declarations of a type and of those that it contains.
    fn declare<T: TS + 'static + ?Sized>(&mut self) {
        if !self.declared.insert(TypeId::of::<T>()) {
            return;
        }
        // Only types with a declaration of their own have a path.
        if T::output_path().is_some() {
            let name = T::ident(&self.config);
            let declaration = T::decl(&self.config);
            let first = self.types.entry(name.clone());
            assert!(
                *first.or_insert_with(|| declaration.clone()) == declaration,
                "two types have the name {name} in TypeScript: rename one with #[ts(rename = \"…\")]"
            );
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

impl TypeVisitor for Schema {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        self.declare::<T>();
    }
}

/// The text of a module in TypeScript.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "// Written by a test from the program's sources: see seaway::typescript.\n\n",
        )?;
        for declaration in self.types.values() {
            writeln!(f, "export {declaration}\n")?;
        }
        let union = |types: &[String]| match types {
            [] => "never".to_owned(),
            types => types.join(" | "),
        };
        let Self { name, .. } = self;
        writeln!(f, "/** What the consumer sends and takes. */")?;
        writeln!(f, "export interface {name} {{")?;
        writeln!(f, "  events: {};", union(&self.events))?;
        writeln!(f, "  messages: {};", union(&self.messages))?;
        f.write_str("  requests: {")?;
        for request in &self.requests {
            write!(f, "\n    {request}")?;
        }
        f.write_str(match self.requests.is_empty() {
            true => "};\n}\n",
            false => "\n  };\n}\n",
        })
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
