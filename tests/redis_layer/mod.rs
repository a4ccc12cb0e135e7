//! Tests of the Redis layer.

mod clock;
mod cluster_gaps;
mod conformance;
mod connections;
pub(crate) mod log;
mod member_counts;
mod queues;
mod refusals;
mod said;
mod several_hosts;
mod sizes;
mod subscriptions;
