//! The harness of the integration tests: processes and clients.
//!
//! Tests are never skipped: a missing program fails the test, and the message names the command
//! that installs it.

pub mod support;
