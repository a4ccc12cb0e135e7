//! The opening of a consumer's WebSocket: origin check, `connect`, response, and the driver.

use super::{
    Context, Handshake,
    address::ConsumerAddress,
    disconnect_guard::DisconnectGuard,
    driver::{AcceptedConnection, Driver},
    handshake::too_slow,
    hooks::{Connect, Connected},
    joined::{GroupMember, Joined},
    open_scope::OpenScope,
    response_headers::complete,
    watch::ConditionWatch,
};
use crate::{
    catch_panic::catch_panic,
    channels::{Channels, Departure},
    error::Result,
    message::Close,
    protocol::{Socket, Upgrade, WebSocket},
    rejection::Rejection,
    revocation::Revocations,
    scope::Scope,
};
use http::HeaderMap;
use std::{
    future::{Future, ready},
    marker::PhantomData,
    mem,
    time::Duration,
};
use tokio::time::timeout;

/// Serves one client with this consumer, from the handshake to `disconnect`.
pub(super) fn serve<C: Connect>(
    consumer: C,
    channels: Channels,
    scope: Scope<WebSocket>,
    upgrade: Upgrade,
) -> impl Future<Output = crate::Result<()>> + Send {
    // Boxed, so that the connection's future does not keep the memory of the handshake.
    let opening = Box::pin(open(consumer, channels, scope, upgrade));
    async move {
        match opening.await? {
            Some(driver) => driver.run().await,
            None => Ok(()),
        }
    }
}

/// The driver of a consumer that is still to connect.
type DriverOf<C> = Driver<<<C as Connect>::Connected as Connected>::Hooks>;

/// Runs the handshake up to the open socket; `None` if the client was rejected or has left.
async fn open<C: Connect>(
    consumer: C,
    channels: Channels,
    scope: Scope<WebSocket>,
    mut upgrade: Upgrade,
) -> Result<Option<Box<DriverOf<C>>>> {
    if !upgrade.is_origin_allowed() {
        upgrade.reject_origin().await?;
        return Ok(None);
    }
    let mut connecting = DisconnectGuard::new(consumer, upgrade.handle().cloned());
    let handshake = Handshake {
        scope,
        address: ConsumerAddress::new(channels),
        headers: HeaderMap::new(),
        event: PhantomData,
    };
    let limit = upgrade.config().connect_timeout;
    let connected = connect(&mut *connecting, handshake, limit);
    let (consumer, handshake) = match unless_abandoned(&mut upgrade, connected).await {
        Ok(connected) => connected,
        Err(rejection) => {
            let rejected = reject(upgrade, rejection).await;
            let disconnected = connecting.disconnect(Close::ABNORMAL.into()).await;
            return rejected.and(disconnected).map(|()| None);
        }
    };
    let (connection, consumer) = connecting.map(|_| (handshake, consumer));
    let mut joined = Joined {
        connection,
        consumer,
    };
    let entered = async { Ok(joined.connection.address.enter().await?) };
    if let Err(rejection) = unless_abandoned(&mut upgrade, entered).await {
        let rejected = reject(upgrade, rejection).await;
        let disconnected = joined.end(|()| ready(Close::ABNORMAL.into())).await;
        return rejected.and(disconnected).map(|()| None);
    }
    complete(&mut joined.connection.headers, upgrade.headers_mut());
    *upgrade.headers_mut() = mem::take(&mut joined.connection.headers);
    let socket = match upgrade.accept().await {
        Ok(socket) => socket,
        Err(error) => {
            let disconnected = joined.end(|()| ready(Close::ABNORMAL.into())).await;
            return if error.is_closed() {
                disconnected.map(|()| None)
            } else {
                Err(error)
            };
        }
    };
    let watch = match watch(&joined.connection, limit).await {
        Ok(watch) => watch,
        Err(close) => {
            let disconnected = joined.end(|()| socket.close(close)).await;
            return disconnected.map(|()| None);
        }
    };
    Ok(Some(Box::new(drive(joined, socket, watch))))
}

/// Opens the mailbox and runs `connect`, within one timeout; a panic rejects the client too.
async fn connect<C: Connect>(
    consumer: &mut C,
    handshake: Handshake<C::Event>,
    limit: Duration,
) -> Result<(C::Connected, Handshake<C::Event>), Rejection> {
    let channels = handshake.address.channels.clone();
    let connected = async {
        handshake.address.open().await?;
        catch_panic(|| consumer.connect(handshake)).await?
    };
    let connected = timeout(limit, connected).await;
    connected.map_err(|_| too_slow(&channels, consumer.too_slow()))?
}

/// Runs a step of the handshake. `Err` if the client is to be rejected, or has left: then without a
/// rejection.
async fn unless_abandoned<T>(
    upgrade: &mut Upgrade,
    step: impl Future<Output = Result<T, Rejection>>,
) -> Result<T, Option<Rejection>> {
    tokio::select! {
        biased;
        outcome = step => outcome.map_err(Some),
        () = upgrade.abandoned() => Err(None),
    }
}

/// Rejects the client, unless it has left.
async fn reject(upgrade: Upgrade, rejection: Option<Rejection>) -> Result<()> {
    match rejection {
        Some(rejection) => upgrade.reject(rejection).await,
        None => {
            upgrade.abandon().await;
            Ok(())
        }
    }
}

/// Returns the driver of an accepted connection.
fn drive<C: Connected>(
    joined: Joined<Handshake<C::Event>, C>,
    socket: Socket,
    watch: Option<Box<ConditionWatch>>,
) -> Driver<C::Hooks> {
    Driver::new(joined.map(|handshake, consumer| {
        let (channels, mailbox) = handshake.address.into_parts();
        let mailbox = mailbox.expect("the mailbox was opened before `connect`");
        let ctx = Context {
            scope: OpenScope::new(handshake.scope),
            sender: socket.sender(),
            channels: channels.clone(),
            channel: mailbox.name().clone(),
            event: PhantomData,
        };
        let connection = AcceptedConnection::new(channels, socket, mailbox, watch);
        (connection, consumer.open(ctx))
    }))
}

impl<E> GroupMember for Handshake<E> {
    type Rest = ();

    fn leave(self) -> (Departure, ()) {
        (self.address.leave(), ())
    }
}

/// Watches the conditions whose loss closes the connection, if there are any. `Err` if one is lost
/// already, or cannot be watched within the limit.
async fn watch<E>(
    handshake: &Handshake<E>,
    limit: Duration,
) -> Result<Option<Box<ConditionWatch>>, Close> {
    let Some(conditions) = handshake.scope.extensions.get::<Revocations>() else {
        return Ok(None);
    };
    match timeout(limit, ConditionWatch::over(conditions, &handshake.address)).await {
        Ok(watch) => watch.map(Some),
        Err(_) => Err(Close::from(Close::TRY_AGAIN)),
    }
}
