//! The output of a WebSocket: everything queued for a connection leaves in one write.

use super::{
    outgoing::Sender,
    send_queue::{Outbound, SendQueue},
    thread_buffers::with_output,
};
use crate::{message::Close, metric};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// How many bytes are gathered for one write. More would only wait in the kernel.
const BATCH: usize = 64 * 1024;

/// How many pongs may wait to be written.
const PONGS: usize = 64;

/// The pending output of this side besides its messages: control frames, and bytes that the socket
/// did not accept yet.
#[derive(Default)]
pub(super) struct Writer {
    rest: Vec<u8>,
    written: usize,
    ping: bool,
    pongs: VecDeque<Bytes>,
    close_frame: CloseFrame,
    /// Number of bytes that the socket has accepted, in all and at the last call of `is_stuck`.
    taken: u64,
    looked_at: u64,
    /// Whether a stream that buffers (TLS, HTTP/2) must still be flushed.
    unflushed: bool,
}

#[derive(Default)]
enum CloseFrame {
    #[default]
    Unsent,
    /// The payload of a close frame, to be written once.
    Queued(Bytes),
    /// Nothing follows a close frame (RFC 6455, 5.5.1).
    Sent,
}

impl Writer {
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn pong(&mut self, payload: Bytes) {
        // A client that pings without reading: the newest ping is the one to respond to (RFC 6455,
        // 5.5.3).
        if self.pongs.len() == PONGS {
            self.pongs.clear();
        }
        self.pongs.push_back(payload);
    }

    /// Queues a close frame for a reason of this side.
    pub(super) fn close(&mut self, close: &Close) {
        let mut payload = Vec::with_capacity(2 + close.reason.len());
        payload.extend_from_slice(&close.code.to_be_bytes());
        payload.extend_from_slice(close.reason.as_bytes());
        self.queue_close(payload.into());
    }

    /// Responds to the client's close frame with its own code (RFC 6455, 5.5.1).
    pub(super) fn reply_close(&mut self, close: &Close) {
        match close.code {
            Close::NO_STATUS => self.queue_close(Bytes::new()),
            code => self.close(&Close::from(code)),
        }
    }

    fn queue_close(&mut self, payload: Bytes) {
        if matches!(self.close_frame, CloseFrame::Unsent) {
            self.close_frame = CloseFrame::Queued(payload);
        }
    }

    /// Returns whether a ping or pong is to be written.
    pub(super) fn has_controls(&self) -> bool {
        self.ping || !self.pongs.is_empty()
    }

    /// Returns whether bytes wait for the client and it has accepted none since the last call.
    pub(super) fn is_stuck(&mut self) -> bool {
        let looked_at = std::mem::replace(&mut self.looked_at, self.taken);
        !self.rest.is_empty() && looked_at == self.taken
    }

    /// Writes control frames, and the messages queued at `sender`; pending while the socket is
    /// full.
    pub(super) fn poll_write<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        sender: Option<&Sender>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Close>> {
        loop {
            while self.written < self.rest.len() {
                let rest = &self.rest[self.written..];
                let count = ready!(write(io, rest, cx))?;
                self.written += count;
                self.taken += count as u64;
            }
            self.rest = Vec::new();
            self.written = 0;
            let complete: Poll<Result<bool, Close>> = with_output(|output| {
                self.gather(sender, output, cx);
                self.unflushed |= !output.is_empty();
                let mut written = 0;
                while written < output.len() {
                    match write(io, &output[written..], cx)? {
                        Poll::Ready(count) => {
                            written += count;
                            self.taken += count as u64;
                        }
                        Poll::Pending => {
                            self.rest = output[written..].to_vec();
                            return Poll::Pending;
                        }
                    }
                }
                // A full batch: there may be more.
                Poll::Ready(Ok(output.len() < BATCH))
            });
            if ready!(complete)? {
                break;
            }
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx)).map_err(|_| gone())?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Encodes the next output.
    fn gather(&mut self, sender: Option<&Sender>, output: &mut Vec<u8>, cx: &Context<'_>) {
        if matches!(self.close_frame, CloseFrame::Sent) {
            return;
        }
        for payload in std::mem::take(&mut self.pongs) {
            control_frame(Control::Pong, &payload, output);
        }
        if std::mem::take(&mut self.ping) {
            control_frame(Control::Ping, &[], output);
        }
        if let Some(sender) = sender {
            let close = sender.drain(cx, |queue| frames(queue, output));
            if let Some(close) = close {
                self.close(&close);
            }
        }
        if let CloseFrame::Queued(payload) = &self.close_frame {
            control_frame(Control::Close, payload, output);
            self.close_frame = CloseFrame::Sent;
        }
    }
}

/// Encodes queued messages, up to a batch; returns the close to send if all were encoded and one is
/// due.
fn frames(queue: &mut SendQueue, output: &mut Vec<u8>) -> Option<Close> {
    while output.len() < BATCH {
        let Some(message) = queue.pop() else {
            return queue.close().cloned();
        };
        let (is_text, is_deflated) = match &message {
            Outbound::Plain(message) => (message.is_text(), false),
            Outbound::Deflated { is_text, .. } => (*is_text, true),
        };
        let data = if is_text { Data::Text } else { Data::Binary };
        let header = FrameHeader {
            rsv1: is_deflated,
            opcode: OpCode::Data(data),
            ..FrameHeader::default()
        };
        encode(header, message.payload(), output);
    }
    None
}

fn control_frame(control: Control, payload: &[u8], output: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::Control(control),
        ..FrameHeader::default()
    };
    encode(header, payload, output);
}

fn encode(header: FrameHeader, payload: &[u8], output: &mut Vec<u8>) {
    let written = header.format(payload.len() as u64, output);
    written.expect("writing to a Vec cannot fail");
    output.extend_from_slice(payload);
}

fn write<IO: AsyncWrite + Unpin>(
    io: &mut IO,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Close>> {
    match ready!(Pin::new(io).poll_write(cx, bytes)) {
        Ok(count @ 1..) => {
            metric::Bytes::websocket().sent(count);
            Poll::Ready(Ok(count))
        }
        Ok(0) | Err(_) => Poll::Ready(Err(gone())),
    }
}

fn gone() -> Close {
    Close::from(Close::ABNORMAL)
}
