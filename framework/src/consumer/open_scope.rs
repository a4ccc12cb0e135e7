//! The scope of an open WebSocket, whose head is packed until the consumer reads it.

use crate::{
    error::Result,
    protocol::{PackedHead, WebSocket},
    rejection_log::Peer,
    scope::{Protocol, Scope},
};
use http::{HeaderName, header};
use std::{convert::Infallible, sync::OnceLock};

/// The scope of an open WebSocket.
///
/// Few consumers read it after `connect`, and its head would be the largest part of an idle
/// connection.
pub(super) struct OpenScope {
    /// `None` once the consumer may have changed `whole`, so that nothing it removes is kept here.
    packed: Option<Scope<Packed>>,
    /// Created from `packed` when it is first read, and used instead of it from then on.
    whole: OnceLock<Box<Scope<WebSocket>>>,
}

/// A WebSocket whose head is packed.
enum Packed {}

impl Protocol for Packed {
    const NAME: &'static str = WebSocket::NAME;
    type Head = PackedHead;
    type Connection = Infallible;
}

/// The headers that nobody reads once the WebSocket is open: those of the handshake itself, and
/// those that a browser adds to each request.
const UNREAD: [HeaderName; 8] = [
    header::ACCEPT_ENCODING,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::PRAGMA,
    header::UPGRADE,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
];

impl OpenScope {
    pub(super) fn new(scope: Scope<WebSocket>) -> Self {
        Self {
            packed: Some(scope.map_head(|head| PackedHead::new(head, &UNREAD))),
            whole: OnceLock::new(),
        }
    }

    pub(super) fn whole(&self) -> &Scope<WebSocket> {
        self.whole.get_or_init(|| Box::new(self.unpacked()))
    }

    fn packed(&self) -> &Scope<Packed> {
        let packed = self.packed.as_ref();
        packed.expect("`whole` exists once it is dropped")
    }

    fn unpacked(&self) -> Scope<WebSocket> {
        self.packed().copy().map_head(|head| head.unpack())
    }

    pub(super) fn whole_mut(&mut self) -> &mut Scope<WebSocket> {
        self.whole();
        self.packed = None;
        self.whole.get_mut().expect("it was created above")
    }

    /// As [`Scope::peer`]; the head stays packed.
    pub(super) fn peer(&self) -> Peer {
        match self.whole.get() {
            Some(whole) => whole.peer(),
            None => self.unpacked().peer(),
        }
    }

    /// As [`Scope::state`], without unpacking the head.
    pub(super) fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        match self.whole.get() {
            Some(whole) => whole.state(),
            None => self.packed().state(),
        }
    }
}
