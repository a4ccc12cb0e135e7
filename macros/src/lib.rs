//! The macros of [Seaway](https://docs.rs/seaway): they save typing, never thinking.
//!
//! This release holds none yet.
//! `#[derive(WebSocketConsumer)]`, `#[consumer]` and `#[derive(Event)]` come next; all that they will write can be
//! written by hand with the traits of the `seaway` crate, which is what its guides show.
