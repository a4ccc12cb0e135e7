//! What the integration tests share: everything they start, and how they talk to it.
//!
//! Nothing here skips: a program that is missing fails the test and names the command that installs it.

pub mod support;
