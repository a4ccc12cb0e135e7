//! The server: accepts connections, serves HTTP/1.1 and HTTP/2, and shuts down gracefully.
//!
//! | file | contents |
//! | --- | --- |
//! | `serve.rs` | the settings of a server, and its run |
//! | `workers.rs` | workers: they take jobs from channels and run them |
//! | `serve_workers.rs` | a program of workers, and its run |
//! | `lifecycle.rs` | what both runs have in common: startup, work until a signal, shutdown |
//! | `accept.rs` | the accept loop, and graceful shutdown |
//! | `place.rs` | the place of a connection in the limits of the server |
//! | `addresses.rs` | the limit of connections per client address |
//! | `lifespan.rs`, `running.rs` | startup and shutdown functions |
//! | `shutdown_signal.rs` | Ctrl-C, SIGTERM, or a future: when to stop, and when to stop at once |
//! | `access_log.rs` | one line per response, off by default |
//! | `bind.rs` | the address or listener of a server |
//! | `tcp.rs` | TCP listeners with a long queue |
//! | `listener.rs` | the trait of listeners, for TCP, Unix sockets and others |
//! | `inherited.rs` | listeners that a supervisor passes to this process |
//! | `tls.rs` | the listener for TLS |
//! | `proxy_protocol.rs` | the listener behind proxies that state the address of their client |
//! | `trusted_proxies.rs` | the addresses of those proxies |
//! | `forwarded.rs` | what a proxy states in `X-Forwarded-*` or `Forwarded` |
//! | `reuse_port.rs` | a listener whose port several processes share |
//! | `socket.rs` | the stream of an accepted connection |
//! | `stream_connection.rs` | the connection of an application that an HTTP/2 stream has opened |
//! | `connection.rs` | one connection |
//! | `client_stream.rs` | the byte stream between a client and hyper |
//! | `preface.rs` | its first bytes, which distinguish HTTP/1 and HTTP/2 |
//! | `framing.rs` | where HTTP/1 requests end, and whether one has two lengths |
//! | `traffic.rs` | the state that the parts of a connection share |
//! | `head_wait.rs` | the signal that hyper waits for a request head |
//! | `request_head.rs` | checks of a request head |
//! | `request_body.rs` | the body of a request, and its timeout |
//! | `alarm.rs` | a timer for deadlines that move |
//! | `http2_stream.rs` | resets of HTTP/2 streams whose client does not read |
//! | `open_streams.rs` | the idle timeout of an HTTP/2 connection |
//! | `drain.rs` | the open connections, and their shutdown |
//! | `batches.rs` | the batches in which they close |

mod accept;
mod access_log;
mod addresses;
mod alarm;
mod batches;
mod bind;
mod client_stream;
mod connection;
mod drain;
mod forwarded;
mod framing;
mod head_wait;
mod http2_stream;
#[cfg(unix)]
mod inherited;
mod lifecycle;
mod lifespan;
mod listener;
mod open_streams;
mod place;
mod preface;
mod proxy_protocol;
mod request_body;
mod request_head;
#[cfg(unix)]
mod reuse_port;
mod running;
mod serve;
mod serve_workers;
mod shutdown_signal;
mod socket;
mod stream_connection;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod traffic;
mod trusted_proxies;
mod workers;

pub use self::{
    bind::Bind,
    connection::ServedApp,
    lifespan::{Lifespan, LifespanFn},
    listener::{Accepted, Listener},
    proxy_protocol::ProxyProtocol,
    running::Running,
    serve::{Serve, serve, serve_with},
    serve_workers::{ServeWorkers, serve_workers},
    tcp::bind_tcp,
    trusted_proxies::TrustedProxies,
};

#[cfg(feature = "tls")]
pub use self::tls::TlsListener;
#[cfg(unix)]
pub use self::{inherited::InheritedListener, reuse_port::ReusePortListener};
