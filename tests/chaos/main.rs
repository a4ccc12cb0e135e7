//! The tests that load the machine: hundreds of clients, while processes and Redis are killed.
//!
//! They have a binary of their own, since Cargo runs one binary after the other: the tests of
//! faults, in the other one, measure times.

mod endings;
mod presence;
mod restart;
mod slow_reader;
mod topics;
