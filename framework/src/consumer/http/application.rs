//! The application of an HTTP consumer: checks a request, and runs `connect`.

use super::{
    super::{Handshake, address::ConsumerAddress, handshake::too_slow},
    HttpConsumer, HttpConsumerApplication, HttpContext,
    context::HttpLimits,
    driver::HandlerDriver,
    handler_state::HandlerState,
};
use crate::{
    application::Application,
    catch_panic::catch_panic,
    channels::Channels,
    error::{Error, Result},
    protocol::{Exchange, Http},
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use std::{any::type_name, future::Future, marker::PhantomData, sync::Arc, time::Duration};
use tracing::Instrument;

/// How long `connect` may take; then the client gets 503.
pub(in crate::consumer) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

impl<C: HttpConsumer> Application<Http> for HttpConsumerApplication<C> {
    fn call(
        &self,
        scope: Scope<Http>,
        exchange: Exchange,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.record("consumer", type_name::<C>());
        let span = scope.span().open();
        // Boxed, so that the request's future does not keep the memory of the handshake.
        let opening = Box::pin(open::<C>(self.channels.clone(), scope, exchange));
        let serving = async move {
            match opening.await? {
                Some(driver) => driver.serve().await,
                None => Ok(()),
            }
        };
        serving.instrument(span)
    }

    fn required_state(&self) -> RequiredState {
        C::required_state().by(type_name::<C>())
    }
}

/// Runs `connect`, after the checks of method and body size; `None` if the request was rejected.
async fn open<C: HttpConsumer>(
    channels: Channels,
    scope: Scope<Http>,
    mut exchange: Exchange,
) -> Result<Option<HandlerDriver<C>>> {
    if let Some(rejection) = check_method(&scope.head.method, C::METHODS) {
        Http::reject(exchange, rejection).await?;
        return Ok(None);
    }
    if exchange.body.size_hint().lower() > C::MAX_BODY as u64 {
        Http::reject(exchange, Error::body_too_large(C::MAX_BODY)).await?;
        return Ok(None);
    }
    let mut handshake = Handshake {
        scope,
        address: ConsumerAddress::new(channels),
        headers: HeaderMap::new(),
        event: PhantomData,
    };
    let connecting = catch_panic(|| C::connect(&mut handshake));
    let rejection = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(Ok(Ok(consumer))) => {
            let ctx = HttpContext {
                scope: handshake.scope,
                handler_state: Arc::new(HandlerState::new(handshake.address)),
                headers: handshake.headers,
                body: exchange.take_body(),
                exchange: Some(exchange),
                limits: HttpLimits {
                    max_body: C::MAX_BODY,
                    body_rest: C::MAX_BODY,
                    send_buffer: C::SEND_BUFFER,
                    send_timeout: C::SEND_TIMEOUT,
                    keep_alive: C::KEEP_ALIVE,
                },
                event: PhantomData,
            };
            return Ok(Some(HandlerDriver::new(consumer, ctx)));
        }
        Ok(Ok(Err(reject))) => reject,
        Ok(Err(panic)) => Rejection::from(panic),
        Err(_) => too_slow(
            &handshake.address.channels,
            "a consumer's `connect` took longer than 10 s; find the slow call in it, or move it to `handle`",
        ),
    };
    Http::reject(exchange, rejection).await?;
    Ok(None)
}

/// The methods that a consumer accepts by default: those of RFC 9110 and RFC 5789 without CONNECT
/// and TRACE.
const USUAL: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Returns the rejection (405) of a request whose method is not accepted.
fn check_method(method: &Method, methods: &[Method]) -> Option<Rejection> {
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
    let rejection = Rejection::from_status(StatusCode::METHOD_NOT_ALLOWED).by(Rule::Method);
    Some(rejection.header(header::ALLOW, allowed))
}
