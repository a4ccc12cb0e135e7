//! Tests of blocking code: calls, and blocking consumers.

mod calls;
mod clerk;
mod consumers;
mod crowd;
mod disconnects;
