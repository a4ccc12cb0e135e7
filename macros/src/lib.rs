//! The macros of [Seaway](https://docs.rs/seaway). All code that they generate can be written by
//! hand.
//!
//! Depend on `seaway` and use them from there: `use seaway::{Event, WebSocketConsumer, consumer};`.
//! Their documentation, with examples that run, is there too; `docs/macros.md` in the repository
//! compares the generated code of each with the same code written by hand.
//!
//! The sources, in reading order:
//!
//! - `event`: `#[derive(Event)]`, the events that consumers send each other;
//! - `from_handshake`: `#[derive(WebSocketConsumer)]` and `#[derive(HttpConsumer)]`, which fill a
//!   consumer's fields;
//! - `consumer`: `#[consumer]`, which calls a consumer's methods.
//!
//! Each parses its input into plain values, collects all errors, and then generates code.

mod consumer;
mod errors;
mod event;
mod from_handshake;
mod protocol;
mod serde_items;
mod types;
mod wide;

use proc_macro::TokenStream;

#[allow(missing_docs, reason = "documented in seaway, where it is used")]
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    event::derive(input).into()
}

#[allow(missing_docs, reason = "documented in seaway, where it is used")]
#[proc_macro_derive(
    WebSocketConsumer,
    attributes(
        consumer, default, group, param, presence, query, session, state, topic, user
    )
)]
pub fn derive_web_socket_consumer(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    from_handshake::derive(input, protocol::ConsumerProtocol::WebSocket).into()
}

#[allow(missing_docs, reason = "documented in seaway, where it is used")]
#[proc_macro_derive(
    HttpConsumer,
    attributes(
        consumer, default, group, param, presence, query, session, state, topic, user
    )
)]
pub fn derive_http_consumer(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    from_handshake::derive(input, protocol::ConsumerProtocol::Http).into()
}

#[allow(missing_docs, reason = "documented in seaway, where it is used")]
#[proc_macro_attribute]
pub fn consumer(arguments: TokenStream, item: TokenStream) -> TokenStream {
    consumer::expand(arguments.into(), item.into()).into()
}
