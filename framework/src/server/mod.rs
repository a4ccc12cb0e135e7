//! The door: accepts connections, speaks HTTP/1.1 and HTTP/2, stops in good order.
//!
//! | file | idea |
//! | --- | --- |
//! | `serve.rs` | a server's settings, and its life |
//! | `accept.rs` | accepting clients, and letting them go |
//! | `lifespan.rs`, `running.rs` | what is done before the first client and after the last |
//! | `shutdown_signal.rs` | when to stop, and when at once |
//! | `bind.rs` | where a server listens |
//! | `connection.rs` | one connection, to its end |
//! | `client_stream.rs` | the byte stream between a client and hyper |
//! | `preface.rs` | its first bytes, which tell HTTP/1 from HTTP/2 |
//! | `framing.rs` | where HTTP/1 requests end, and whether one has two lengths |
//! | `traffic.rs` | the state that the parts of a connection share |
//! | `head_timer.rs` | the timeout of request heads |
//! | `request_head.rs` | checks of a request head |
//! | `http2_stream.rs` | resets HTTP/2 streams whose client does not read |
//! | `open_streams.rs` | the idle timeout of an HTTP/2 connection |
//! | `half_close.rs` | tells HTTP consumers that their client has closed its sending side |
//! | `handshake.rs` | whether a request asks for a WebSocket, as a function of its head |
//! | `websocket/` | frames over bytes |
//! | `heartbeat.rs` | when to ping a client, and when to give it up |
//! | `place.rs` | the task that serves requests, and what goes on after their answers |
//! | `drain.rs` | who is still here, and how they learn that the server stops |
//! | `tasks.rs` | what is cut off in the end |

mod accept;
mod bind;
mod client_stream;
mod connection;
mod connection_task;
mod drain;
mod framing;
mod half_close;
mod handshake;
mod head_timer;
mod heartbeat;
mod http2_stream;
mod lifespan;
mod open_streams;
mod preface;
mod request_head;
mod running;
mod serve;
mod shutdown_signal;
mod tasks;
mod traffic;
mod websocket;

pub use self::{
    bind::Bind,
    lifespan::{Lifespan, LifespanFn},
    running::Running,
    serve::{Serve, serve},
};
pub(crate) use self::{
    client_stream::ClientStream,
    connection_task::{carry_on, handle},
    drain::ConnectionHandle,
    handshake::{Asked, asked, without_upgrade},
    websocket::ByteTransport,
};
