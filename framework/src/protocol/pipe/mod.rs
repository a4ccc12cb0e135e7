//! A bounded pipe between the sender and the reader of a streamed body; each end detects when the
//! other is done.
//!
//! | file | contents |
//! | --- | --- |
//! | `feeder.rs` | the end that sends |
//! | `body.rs` | the end that is read |
//! | `state.rs` | the state that both share |

mod body;
mod feeder;
mod state;

pub(crate) use self::{body::PipeBody, feeder::Pipe, state::PipeEnd};

#[cfg(test)]
mod tests;
