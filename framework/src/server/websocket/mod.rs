//! WebSocket frames over a byte stream (RFC 6455).
//!
//! | file | contents |
//! | --- | --- |
//! | `transport.rs` | the server's end of a WebSocket |
//! | `reader.rs` | parsing and assembly of frames, without I/O |
//! | `writer.rs` | the output of a connection, in one write |
//! | `thread_buffers.rs` | buffers that belong to threads, not to connections |

mod reader;
mod thread_buffers;
mod transport;
mod writer;

pub(crate) use self::transport::ByteTransport;
