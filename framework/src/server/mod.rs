//! The server: accepts connections, serves HTTP/1.1 and HTTP/2, and shuts down gracefully.
//!
//! | file | contents |
//! | --- | --- |
//! | `serve.rs` | the settings of a server, and its run |
//! | `accept.rs` | the accept loop, and graceful shutdown |
//! | `lifespan.rs`, `running.rs` | start-up and shutdown functions |
//! | `shutdown_signal.rs` | Ctrl-C, SIGTERM, or a future: when to stop, and when to stop at once |
//! | `bind.rs` | the address or listener of a server |
//! | `connection.rs` | one connection |
//! | `client_stream.rs` | the byte stream between a client and hyper |
//! | `preface.rs` | its first bytes, which distinguish HTTP/1 and HTTP/2 |
//! | `framing.rs` | where HTTP/1 requests end, and whether one has two lengths |
//! | `traffic.rs` | the state that the parts of a connection share |
//! | `head_timer.rs` | the timeout of request heads |
//! | `request_head.rs` | checks of a request head |
//! | `http2_stream.rs` | resets of HTTP/2 streams whose client does not read |
//! | `open_streams.rs` | the idle timeout of an HTTP/2 connection |
//! | `half_close.rs` | the signal that the client has closed its sending side |
//! | `handshake.rs` | the check of a WebSocket handshake, as a function of the request head |
//! | `websocket/` | WebSocket frames over a byte stream |
//! | `heartbeat.rs` | when to ping a silent client, and when to disconnect it |
//! | `connection_task.rs` | the task that serves requests, and what runs after their responses |
//! | `drain.rs` | the open connections, and their shutdown signal |
//! | `tasks.rs` | the tasks that serve connections, which a shutdown may abort |

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
