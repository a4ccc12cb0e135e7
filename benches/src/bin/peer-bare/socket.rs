//! The two WebSocket loops. Each turn processes all that is available, then flushes once.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, Utf8Bytes},
};

use crate::room::Membership;

type Socket = WebSocketStream<TcpStream>;
type Result<T = ()> = std::result::Result<T, Error>;

/// The messages per turn before a flush, so that an endless stream does not delay it.
const TURN: usize = 64;

/// Echoes every text and binary message.
pub(crate) async fn echo(mut socket: Socket) {
    while let Some(first) = socket.next().await {
        if answer(&mut socket, first).await.is_err() {
            return;
        }
    }
}

/// Sends every text to the room, and the room's texts to the client.
pub(crate) async fn room(mut socket: Socket, mut membership: Membership) {
    loop {
        let turn = tokio::select! {
            // The inbox first, as the cheaper check. A room that is never idle could starve the
            // client; this one becomes idle, since senders wait for their own texts.
            biased;
            Some(text) = membership.inbox.recv() => deliver(&mut socket, &mut membership, text).await,
            message = socket.next() => match message {
                Some(first) => listen(&mut socket, &mut membership, first).await,
                None => return,
            },
        };
        if turn.is_err() {
            return;
        }
    }
}

async fn answer(socket: &mut Socket, first: Result<Message>) -> Result {
    feed_back(socket, first?).await?;
    for _ in 1..TURN {
        let Some(Some(message)) = socket.next().now_or_never() else {
            break;
        };
        feed_back(socket, message?).await?;
    }
    socket.flush().await
}

async fn feed_back(socket: &mut Socket, message: Message) -> Result {
    match message {
        Message::Text(_) | Message::Binary(_) => socket.feed(message).await,
        // tungstenite queues pongs and the closing handshake; the flush sends them.
        _ => Ok(()),
    }
}

async fn deliver(socket: &mut Socket, membership: &mut Membership, first: Utf8Bytes) -> Result {
    socket.feed(Message::Text(first)).await?;
    for _ in 1..TURN {
        let Ok(text) = membership.inbox.try_recv() else {
            break;
        };
        socket.feed(Message::Text(text)).await?;
    }
    socket.flush().await
}

async fn listen(
    socket: &mut Socket,
    membership: &mut Membership,
    first: Result<Message>,
) -> Result {
    pass_on(membership, first?);
    for _ in 1..TURN {
        let Some(Some(message)) = socket.next().now_or_never() else {
            break;
        };
        pass_on(membership, message?);
    }
    // The sender's own copies are in the inbox by now, and are sent in the same write as a pong.
    match membership.inbox.try_recv() {
        Ok(text) => deliver(socket, membership, text).await,
        Err(_) => socket.flush().await,
    }
}

fn pass_on(membership: &Membership, message: Message) {
    if let Message::Text(text) = message {
        membership.send(&text);
    }
}
