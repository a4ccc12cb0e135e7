//! Tests of blocking code: calls, and blocking consumers.

mod calls;
mod command_consumer;
mod consumers;
mod disconnects;
mod pool_limits;
