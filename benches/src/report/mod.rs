//! The report: a table, the targets, and both as JSON.

mod json;
mod table;
mod targets;

pub(crate) use self::{
    json::json,
    table::table,
    targets::{IN_MEMORY, OVER_REDIS, Target, targets},
};
