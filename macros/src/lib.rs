//! The macros of [Seaway](https://docs.rs/seaway): they save typing, never thinking.
//!
//! Depend on `seaway` and use them from there: `use seaway::{Event, WebSocketConsumer, consumer};`.
//! Their documentation, with examples that run, is there too; `docs/macros.md` in the repository shows side by side what
//! each of them writes and what you would write by hand.
//!
//! The sources, in the order of a reader:
//!
//! - `event`: `#[derive(Event)]`, what consumers tell each other;
//! - `from_handshake`: `#[derive(WebSocketConsumer)]`, how a consumer's fields are filled;
//! - `consumer`: `#[consumer]`, how its methods are called.
//!
//! Each reads what a person wrote into plain values, collects all mistakes on the way, and then writes.

mod consumer;
mod event;
mod from_handshake;
mod mistakes;
mod spans;
mod types;

use proc_macro::TokenStream;

#[allow(missing_docs, reason = "it is documented where it is used: in seaway")]
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    event::derive(input).into()
}

#[allow(missing_docs, reason = "it is documented where it is used: in seaway")]
#[proc_macro_derive(
    WebSocketConsumer,
    attributes(consumer, default, group, param, query, session, state, user)
)]
pub fn derive_web_socket_consumer(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    from_handshake::derive(input).into()
}

#[allow(missing_docs, reason = "it is documented where it is used: in seaway")]
#[proc_macro_attribute]
pub fn consumer(arguments: TokenStream, item: TokenStream) -> TokenStream {
    consumer::expand(arguments.into(), item.into()).into()
}
