//! One request that may wait, and may stream: the trait that users write.

use super::{
    super::{Handshake, HttpHandshake, address::Address},
    HttpContext, Reply,
    common::Common,
    context::Limits,
    driver::Driver,
};
use crate::{
    application::Application,
    catch_panic::catch_panic,
    channels::{Channels, Event},
    error::{Error, ErrorKind, Result},
    message::Close,
    protocol::{Exchange, Http},
    refusal_log::Rule,
    rejection::Rejection,
    scope::{OpensOverHttp, Scope},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc, time::Duration};

/// One request that may wait for events before it is answered, or stream its answer: one value per request, made by
/// [`connect`](HttpConsumer::connect).
///
/// ```
/// use seaway::{Reply, HttpConsumer, HttpContext, HttpHandshake, Json, Rejection, Result, http::StatusCode};
/// use std::time::Duration;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { text: String } }
///
/// /// Long polling: the next thing said in the room, or 204 after half a minute.
/// struct Next;
///
/// impl HttpConsumer for Next {
///     type Event = Said;
///
///     async fn connect(handshake: &mut HttpHandshake<Said>) -> Result<Self, Rejection> {
///         handshake.join("chat.lobby").await?;
///         Ok(Next)
///     }
///
///     async fn handle(&mut self, ctx: &mut HttpContext<Said>) -> Result<Reply> {
///         match tokio::time::timeout(Duration::from_secs(30), ctx.next_event()).await {
///             Ok(Ok(Some(said))) => ctx.reply(Json(said)),
///             _ => ctx.reply(StatusCode::NO_CONTENT),
///         }
///     }
/// }
/// ```
///
/// A client that leaves ends the wait or the stream: the handler's future is dropped at its await. An error before the
/// head of the answer is out is answered as everywhere ([`Rejection`]): 400 for a bad name, 401 for a session that is gone,
/// 413 if the body was too large, 503 if the channel layer, the session store or a time-out is to blame, 500 for all
/// else, which is logged; afterwards it cuts the stream off, or ends it if it is of server-sent events.
///
/// The guide is `docs/http-consumers.md`: long polling, a stream that misses nothing, bodies, consumers beside pages, and
/// how it all ends.
pub trait HttpConsumer: Sized + Send + 'static {
    /// What other consumers say: a type of yours, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Methods this consumer accepts (default, and if empty: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS). Others get 405
    /// with an `Allow` header before `connect` runs. GET includes HEAD (RFC 9110, 9.1).
    ///
    /// ```
    /// # use seaway::{Reply, HttpConsumer, HttpContext, HttpHandshake, NoEvent, Rejection, Result};
    /// use seaway::http::Method;
    ///
    /// # struct Events;
    /// impl HttpConsumer for Events {
    ///     const METHODS: &'static [Method] = &[Method::GET];
    ///     // …
    /// #   type Event = NoEvent;
    /// #   async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> { Ok(Events) }
    /// #   async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Reply> { ctx.reply("") }
    /// }
    /// ```
    const METHODS: &'static [Method] = &[];

    /// The largest body that a request may have, in bytes. Default 1 MiB. One that announces more is answered 413 before
    /// anything of it is read, and before `connect`; one that turns out to be larger, when
    /// [`body`](HttpContext::body) or [`next_chunk`](HttpContext::next_chunk) finds out.
    const MAX_BODY: usize = 1024 * 1024;

    /// How many bytes of a streamed answer may wait for a client that reads slowly. Default 64 KiB; at the bound `send`
    /// waits. The chunk that passes it is still taken whole.
    const SEND_BUFFER: usize = 64 * 1024;

    /// How long `send` waits for a client that is not seen to take anything of a streamed answer, and twice that at most.
    /// Default 60 s; at the bound the client has left, and its connection is cut off, over HTTP/2 its stream alone.
    ///
    /// It is seen when the next piece is taken, which has 256 KiB at most: a client that reads more slowly than about
    /// 4 KiB/s may be given up, too. This holds while `send` waits, and not after `end`.
    const SEND_TIMEOUT: Duration = Duration::from_secs(60);

    /// How often a comment goes out on a silent [`Sse`](super::Sse), so that proxies do not take it for dead. Default 15 s;
    /// with [`Duration::MAX`] none ever does.
    const KEEP_ALIVE: Duration = Duration::from_secs(15);

    /// Whether a client has disconnected that closes its sending side (TCP FIN) while `handle` waits (default: `true`). The
    /// future of `handle` is then dropped, and the client gets 499 if the response has not begun.
    ///
    /// A FIN does not tell a client that has closed the whole connection from one that still waits for the response. With
    /// `false` both are served, until a write fails or [`half_close_timeout`](crate::Serve::half_close_timeout) has passed.
    /// A reset (RST) ends the request in any case.
    const DISCONNECT_ON_HALF_CLOSE: bool = true;

    /// Decides at the door. `Ok` lets the request in; `Err` answers it with that status and text.
    fn connect(
        handshake: &mut HttpHandshake<Self::Event>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Does the work, and answers by what it returns; or begins a [stream](HttpContext::stream) and returns its end.
    fn handle(
        &mut self,
        ctx: &mut HttpContext<Self::Event>,
    ) -> impl Future<Output = Result<Reply>> + Send;

    /// It is over, whoever ended it. Runs exactly once for every consumer that connected, after its groups are left,
    /// and may take 30 s at most.
    ///
    /// HTTP has no close codes of its own; these say how it ended: 1000 answered, 1001 the server stops, 1006 the
    /// client left or middleware dropped the request, 1009 a body that was too large, 1011 an error or a panic,
    /// 4401 the session or the user's right to be here ended.
    fn disconnect(self, close: Close) -> impl Future<Output = ()> + Send {
        _ = close;
        async {}
    }

    /// The application that answers one request after the other: route it, serve it, or mount it in axum.
    ///
    /// # Panics
    /// If [`KEEP_ALIVE`](HttpConsumer::KEEP_ALIVE) or [`SEND_TIMEOUT`](HttpConsumer::SEND_TIMEOUT) is zero.
    #[track_caller]
    fn application(channels: &Channels) -> HttpConsumerApplication<Self> {
        assert!(
            !Self::KEEP_ALIVE.is_zero(),
            "comments that keep a stream alive would flood it with a KEEP_ALIVE of zero; Duration::MAX sends none"
        );
        assert!(
            !Self::SEND_TIMEOUT.is_zero(),
            "no client takes a stream in no time; Duration::MAX waits for ever"
        );
        HttpConsumerApplication {
            channels: channels.clone(),
            consumer: PhantomData,
        }
    }
}

/// How long `connect` may take; at the bound the client is answered 503.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What [`HttpConsumer::application`] returns.
pub struct HttpConsumerApplication<C> {
    channels: Channels,
    consumer: PhantomData<fn() -> C>,
}

impl<C: HttpConsumer> Application<Http> for HttpConsumerApplication<C> {
    fn call(
        &self,
        scope: Scope<Http>,
        exchange: Exchange,
    ) -> impl Future<Output = Result<()>> + Send {
        // Boxed, so that the memory of a handshake is not kept by the conversation.
        let greeting = Box::pin(greet::<C>(self.channels.clone(), scope, exchange));
        async move {
            match greeting.await? {
                Some(mut driver) => driver.serve().await,
                None => Ok(()),
            }
        }
    }
}

/// From the request to a consumer; `None` if it was turned away.
async fn greet<C: HttpConsumer>(
    channels: Channels,
    scope: Scope<Http>,
    mut exchange: Exchange,
) -> Result<Option<Driver<C>>> {
    if let Some(refusal) = unasked(&scope.head.method, C::METHODS) {
        refusal.log(&scope.peer());
        Http::refuse(exchange, refusal).await?;
        return Ok(None);
    }
    if exchange.body.size_hint().lower() > C::MAX_BODY as u64 {
        let message = format!("the body is larger than {} bytes", C::MAX_BODY);
        let refusal = Rejection::from(Error::new(ErrorKind::TooLarge, message));
        refusal.log(&scope.peer());
        Http::refuse(exchange, refusal).await?;
        return Ok(None);
    }
    let mut handshake = Handshake {
        scope,
        address: Address::new(channels),
        headers: HeaderMap::new(),
        event: PhantomData,
    };
    let connecting = catch_panic(|| C::connect(&mut handshake));
    let refusal = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(Ok(Ok(consumer))) => {
            let ctx = HttpContext {
                scope: handshake.scope,
                common: Arc::new(Common::new(handshake.address)),
                headers: handshake.headers,
                body: exchange.take_body(),
                exchange: Some(exchange),
                limits: Limits {
                    max_body: C::MAX_BODY,
                    send_buffer: C::SEND_BUFFER,
                    send_timeout: C::SEND_TIMEOUT,
                    keep_alive: C::KEEP_ALIVE,
                },
                event: PhantomData,
            };
            return Ok(Some(Driver::new(consumer, ctx)));
        }
        Ok(Ok(Err(reject))) => reject,
        Ok(Err(panic)) => Rejection::from(panic),
        Err(_) => Rejection::from(Error::new(
            ErrorKind::Timeout,
            "a consumer's connect took longer than 10 s",
        ))
        .by(Rule::ConnectTimeout),
    };
    refusal.log(&handshake.scope.peer());
    Http::refuse(exchange, refusal).await?;
    Ok(None)
}

/// The methods that a consumer accepts by default: those of RFC 9110 and RFC 5789 without CONNECT and TRACE.
const USUAL: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// The response to a request whose method is not accepted.
fn unasked(method: &Method, methods: &[Method]) -> Option<Rejection> {
    let methods = match methods {
        [] => USUAL,
        named => named,
    };
    let has = |method| methods.contains(method);
    if has(method) || (*method == Method::HEAD && has(&Method::GET)) {
        return None;
    }
    let head = match has(&Method::GET) && !has(&Method::HEAD) {
        true => Some(&Method::HEAD),
        false => None,
    };
    let names: Vec<_> = methods.iter().chain(head).map(Method::as_str).collect();
    let allowed = HeaderValue::from_str(&names.join(", ")).ok()?;
    let refusal = Rejection::from(StatusCode::METHOD_NOT_ALLOWED).by(Rule::Method);
    Some(refusal.header(header::ALLOW, allowed))
}

impl<C> Clone for HttpConsumerApplication<C> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C> fmt::Debug for HttpConsumerApplication<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpConsumerApplication")
            .field(&std::any::type_name::<C>())
            .finish()
    }
}
