//! Code that blocks its thread: calls, and consumers made of plain functions.

mod calls;
mod clerk;
mod consumers;
mod crowd;
mod endings;
