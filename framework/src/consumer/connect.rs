//! The opening of a consumer's WebSocket: origin check, `connect`, response, and the driver.

use super::{
    Context, Handshake, address::ConsumerAddress, disconnect_guard::DisconnectGuard,
    driver::Driver, handshake::too_slow, hooks::Hooks, open_scope::OpenScope,
    reply_headers::complete, watch::ConditionWatch,
};
use crate::{
    catch_panic::catch_panic,
    channels::Channels,
    error::Result,
    message::Close,
    name::ChannelName,
    protocol::{Upgrade, WebSocket},
    rejection::Rejection,
    rejection_log::Rule,
    revocation::Revocations,
    scope::Scope,
};
use http::HeaderMap;
use std::{future::Future, marker::PhantomData, time::Duration};
use tokio::time::timeout;

/// Serves one client with these hooks, from the handshake to `disconnect`.
pub(super) fn serve<H: Hooks>(
    hooks: H,
    channels: Channels,
    scope: Scope<WebSocket>,
    upgrade: Upgrade,
) -> impl Future<Output = crate::Result<()>> + Send {
    // Boxed, so that the connection's future does not keep the memory of the handshake.
    let opening = Box::pin(open(hooks, channels, scope, upgrade));
    async move {
        match opening.await? {
            Some(driver) => driver.run().await,
            None => Ok(()),
        }
    }
}

/// Runs the handshake up to the open socket; `None` if the client was rejected or has left.
async fn open<H: Hooks>(
    hooks: H,
    channels: Channels,
    scope: Scope<WebSocket>,
    mut upgrade: Upgrade,
) -> Result<Option<Box<Driver<H>>>> {
    if !upgrade.is_origin_allowed() {
        upgrade.reject_origin().await?;
        return Ok(None);
    }
    let address = ConsumerAddress::new(channels);
    if let Err(error) = address.open().await {
        upgrade.reject(error).await?;
        return Ok(None);
    }
    // Declared before everything that holds the mailbox, and so dropped after it: the groups are
    // left before `disconnect`.
    let abnormal = || Close::from(Close::ABNORMAL);
    let handle = upgrade.handle().cloned();
    let mut hooks = DisconnectGuard::new(hooks, H::disconnect, abnormal, handle);
    let handshake = Handshake {
        scope,
        address,
        headers: HeaderMap::new(),
        event: PhantomData,
    };
    let limit = upgrade.config().connect_timeout;
    let connected = tokio::select! {
        biased;
        connected = connect(&mut *hooks, handshake, limit) => Some(connected),
        () = upgrade.abandoned() => None,
    };
    let handshake = match connected {
        Some(Ok(handshake)) => handshake,
        not_accepted => {
            let rejected = match not_accepted {
                Some(Err(rejection)) => upgrade.reject(rejection).await,
                _ => Ok(()),
            };
            // A blocking `connect` cannot be stopped: it may still create a consumer.
            hooks.disconnect(Close::ABNORMAL).await;
            return rejected.map(|()| None);
        }
    };
    let Handshake {
        scope,
        address,
        mut headers,
        ..
    } = handshake;
    complete(&mut headers, upgrade.headers_mut());
    *upgrade.headers_mut() = headers;
    let socket = match upgrade.accept().await {
        Ok(socket) => socket,
        Err(error) => {
            drop(address);
            hooks.disconnect(Close::ABNORMAL).await;
            return if error.is_closed() {
                Ok(None)
            } else {
                Err(error)
            };
        }
    };
    let (channels, mailbox) = address.into_parts();
    let mailbox = mailbox.expect("the mailbox was opened before `connect`");
    let watch = match watch(&scope, &channels, mailbox.name(), limit).await {
        Ok(watch) => watch,
        Err(close) => {
            drop((mailbox, scope));
            let close = socket.close(close).await;
            hooks.disconnect(close).await;
            return Ok(None);
        }
    };
    hooks.set_context(Context {
        scope: OpenScope::new(scope),
        sender: socket.sender(),
        channels: channels.clone(),
        channel: mailbox.name().clone(),
        event: PhantomData,
    });
    let driver = Driver::new(hooks, channels, socket, mailbox, watch);
    Ok(Some(Box::new(driver)))
}

/// Runs `connect` within its timeout, and makes the consumer present; a panic rejects the client
/// too.
async fn connect<H: Hooks>(
    hooks: &mut H,
    handshake: Handshake<H::Event>,
    limit: Duration,
) -> Result<Handshake<H::Event>, Rejection> {
    let connected = timeout(limit, catch_panic(|| hooks.connect(handshake))).await;
    let too_slow = |_| Rejection::from(too_slow()).by(Rule::ConnectTimeout);
    let handshake = connected.map_err(too_slow)???;
    handshake.address.enter().await?;
    Ok(handshake)
}

/// Watches the conditions whose loss closes the connection, if there are any. `Err` if one is lost
/// already, or cannot be watched within the limit.
async fn watch(
    scope: &Scope<WebSocket>,
    channels: &Channels,
    channel: &ChannelName,
    limit: Duration,
) -> Result<Option<Box<ConditionWatch>>, Close> {
    let Ok(conditions) = scope.get::<Revocations>() else {
        return Ok(None);
    };
    match timeout(limit, ConditionWatch::over(conditions, channels, channel)).await {
        Ok(watch) => watch.map(Some),
        Err(_) => Err(Close::from(Close::TRY_AGAIN)),
    }
}
