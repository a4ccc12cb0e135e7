//! Frames over bytes: RFC 6455 on anything that reads and writes.
//!
//! | file | idea |
//! | --- | --- |
//! | `transport.rs` | the server's end of a WebSocket |
//! | `reader.rs` | bytes in, without I/O |
//! | `writer.rs` | bytes out, in one write |
//! | `scratch.rs` | buffers that belong to threads, not to sockets |

mod reader;
mod thread_buffers;
mod transport;
mod writer;

pub(crate) use self::transport::ByteTransport;
