//! The two conversations. Each turn takes all that is there, then flushes once.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, Utf8Bytes},
};

use crate::room::Membership;

type Socket = WebSocketStream<TcpStream>;
type Result<T = ()> = std::result::Result<T, Error>;

/// How many messages a turn takes before it flushes, so that no socket waits for an endless one.
const TURN: usize = 64;

/// Sends every text and binary message back.
pub(crate) async fn echo(mut socket: Socket) {
    while let Some(first) = socket.next().await {
        if answer(&mut socket, first).await.is_err() {
            return;
        }
    }
}

/// Sends every text to the room, and what the room hears to the client.
pub(crate) async fn room(mut socket: Socket, mut membership: Membership) {
    loop {
        let turn = tokio::select! {
            // The inbox first, as the cheaper look. A room that never runs dry could keep the client
            // waiting; here it does run dry, since senders wait until they hear themselves.
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
        // Pongs and the closing handshake are tungstenite's, and leave with the flush.
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
    // The own copies are in the inbox by now, and leave in the same write as a pong.
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
