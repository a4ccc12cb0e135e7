//! The texts of a room, as an endless response body.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::room::Membership;

pub(crate) struct Events {
    pub(crate) membership: Membership,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.membership.inbox.poll_recv(cx);
        event.map(|event| Some(Ok(Frame::data(event?.into()))))
    }
}
