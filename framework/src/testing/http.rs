//! One request for tests, without a server.

use super::soon;
use crate::{
    application::{Application, BoxApplication},
    error::Result,
    protocol::{Body, Exchange, Http},
    scope::Scope,
};
use bytes::Bytes;
use http::{Request, Response};

/// One request for tests, without a server.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{ApplicationExt, from_service, testing::HttpCommunicator};
///
/// let pages = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let app = from_service(pages).boxed();
///
/// let response = HttpCommunicator::request(&app, http::Request::get("/").body("").unwrap()).await.unwrap();
/// assert_eq!(response.body(), "hello");
/// # });
/// ```
#[derive(Debug)]
pub struct HttpCommunicator;

/// No test reads more.
const LIMIT: usize = 64 * 1024 * 1024;

impl HttpCommunicator {
    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// Whatever the application failed with instead of answering.
    ///
    /// # Panics
    /// If no answer comes within 5 s.
    pub async fn request<B: Into<Body>>(
        application: &BoxApplication<Http>,
        request: Request<B>,
    ) -> Result<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let (exchange, reply) = Exchange::new(body.into());
        let application = application.clone();
        let conversation =
            tokio::spawn(async move { application.call(Scope::new(head), exchange).await });
        let Ok(response) = soon("a response", reply).await else {
            let ended = conversation.await;
            let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            ended?;
            panic!("the application ended without an answer");
        };
        let (head, body) = response.into_parts();
        let body = soon("the end of the response", body.to_bytes(LIMIT)).await?;
        Ok(Response::from_parts(head, body))
    }
}
