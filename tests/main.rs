//! The integration tests, in one binary.

mod back_and_forward;
mod burst;
mod chat_accounts;
mod chat_live;
mod chat_neighbours;
mod chat_page;
mod chat_rooms;
mod django;
mod equal_messages;
mod event_source;
mod examples;
mod faults;
mod graceful_stop;
mod harm;
mod hostile;
mod interop;
mod interop_layers;
mod missed;
mod outage;
mod people;
mod redis_acl;
mod redis_layer;
mod scale;
mod sessions;
mod start_up;
mod transports;
