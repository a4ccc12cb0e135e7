//! A body that is fed while it is read: bounded, and each end learns when the other is done.
//!
//! | file | idea |
//! | --- | --- |
//! | `feeder.rs` | the end that is fed |
//! | `body.rs` | the end that is read |
//! | `state.rs` | what both look at |

mod body;
mod feeder;
mod state;

pub(crate) use self::{body::PipeBody, feeder::Pipe, state::PipeEnd};

#[cfg(test)]
mod tests;
