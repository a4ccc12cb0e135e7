//! Tests of the Redis layer.

mod conformance;
mod connections;
mod log;
mod member_counts;
mod queues;
mod said;
mod sizes;
mod subscriptions;
