//! A client for tests that keeps its cookies between requests and WebSockets.

use super::{
    Caller, HttpCommunicator, WebSocketCommunicator, cookie_jar::CookieJar, fail, from_json,
    head_of, parse_path,
};
use crate::{
    application::BoxApplication,
    protocol::{Body, Http, WebSocket},
    routing::ProtocolTypeRouter,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
};

/// A client for tests: it sends requests to a [`ProtocolTypeRouter`] without a server, opens
/// WebSockets, and keeps cookies as a browser does.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use axum::{Json, routing::post};
/// # use seaway::{Channels, Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer};
/// use seaway::{from_service, routing::ProtocolTypeRouter, testing::TestClient};
///
/// async fn double(Json(number): Json<u32>) -> Json<u32> {
///     Json(2 * number)
/// }
/// # struct Double;
/// # impl WebSocketConsumer for Double {
/// #     type Input = seaway::Json<u32>;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, ctx: &mut Context, number: seaway::Json<u32>) -> Result<()> {
/// #         Ok(ctx.send(seaway::Json(2 * number.0)).await?)
/// #     }
/// # }
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(axum::Router::new().route("/double", post(double))))
///     .websocket(Double::application(&Channels::in_memory()));
/// let client = TestClient::new(&app);
///
/// let response = client.post("/double").json(&21).await;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.json::<u32>(), 42);
///
/// let mut socket = client.websocket("/ws/double");
/// socket.send_json(&4).await;
/// assert_eq!(socket.receive_json::<u32>().await, 8);
/// # });
/// ```
///
/// A test can read and change the cookies, and choose the method and the headers:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::http::{Method, Request};
/// # use seaway::{Channels, Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer};
/// # use seaway::{from_service, routing::ProtocolTypeRouter, testing::TestClient};
/// # struct Echo;
/// # impl WebSocketConsumer for Echo {
/// #     type Input = String;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> { Ok(ctx.send(text).await?) }
/// # }
/// # let app = ProtocolTypeRouter::new()
/// #     .http(from_service(axum::Router::<()>::new()))
/// #     .websocket(Echo::application(&Channels::in_memory()));
/// let client = TestClient::new(&app);
/// client.set_cookie("lang", "da");
/// assert_eq!(client.cookie("lang").as_deref(), Some("da"));
///
/// assert_eq!(client.request(Method::PUT, "/missing").await.status(), 404);
///
/// let foreign = Request::get("/ws").header("host", "a.example").header("origin", "https://b.example");
/// assert_eq!(client.open_websocket(foreign).status().await, 403);
///
/// client.clear_cookies();
/// assert_eq!(client.cookie("lang"), None);
/// # });
/// ```
///
/// Each new client is another browser; clones share their cookies. The cookies of a response are
/// stored when it is made, also those of a 101 and of a response that streams. All paths are on one
/// host: `Domain`, `Secure` and `SameSite` make no difference, and a cookie is kept until a
/// response removes it.
///
/// Where a test should fail, it panics with the line of the test.
#[derive(Clone)]
pub struct TestClient {
    router: ProtocolTypeRouter,
    cookies: CookieJar,
}

impl TestClient {
    /// Returns a client of this router, without cookies.
    pub fn new(router: &ProtocolTypeRouter) -> Self {
        Self {
            router: router.clone(),
            cookies: CookieJar::default(),
        }
    }

    /// Returns a GET request for this path; await it to send it.
    ///
    /// # Panics
    /// If the path is malformed, or the router has no application for HTTP.
    #[track_caller]
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// Returns a POST request for this path; await it to send it.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Returns a request with any method; await it to send it.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let request = Request::builder().method(method).uri(parse_path(path));
        let Some(pages) = self.router.get::<Http>() else {
            panic!("the router has no application for HTTP");
        };
        TestRequest {
            pages: pages.clone(),
            cookies: self.cookies.clone(),
            request: request
                .body(Body::empty())
                .expect("its method and path are well formed"),
            caller: Location::caller(),
        }
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    /// If the path is malformed, or the router has no application for WebSockets.
    #[track_caller]
    pub fn websocket(&self, path: &str) -> WebSocketCommunicator {
        self.open_websocket(Request::get(parse_path(path)))
    }

    /// Opens a WebSocket with headers: `http::Request::get("/ws").header("origin", "…")`.
    ///
    /// # Panics
    /// If the request is malformed, or the router has no application for WebSockets.
    #[track_caller]
    pub fn open_websocket(&self, request: http::request::Builder) -> WebSocketCommunicator {
        let head = head_of(request);
        let Some(sockets) = self.router.get::<WebSocket>() else {
            panic!("the router has no application for WebSockets");
        };
        WebSocketCommunicator::open_with(sockets, head, Some(&self.cookies))
    }

    /// Returns the value of a cookie, percent-decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.get(name)
    }

    /// Sets a cookie for all paths; the value is percent-encoded.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.set(name, value);
    }

    /// Removes all cookies, as a browser does that starts anew.
    pub fn clear_cookies(&self) {
        self.cookies.clear();
    }

    #[cfg(feature = "sessions")]
    pub(super) fn router(&self) -> &ProtocolTypeRouter {
        &self.router
    }

    #[cfg(feature = "sessions")]
    pub(super) fn cookies(&self) -> &CookieJar {
        &self.cookies
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").finish_non_exhaustive()
    }
}

/// A request of a [`TestClient`], which is sent when it is awaited or [opened](Self::open).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{from_service, routing::ProtocolTypeRouter, testing::TestClient};
///
/// let echo = axum::Router::new().fallback(|body: String| async { body });
/// let client = TestClient::new(&ProtocolTypeRouter::new().http(from_service(echo)));
///
/// let response = client.post("/").header("accept", "text/plain").body("ahoy").await;
/// assert_eq!(response.text(), "ahoy");
/// let response = client.post("/").form(&[("name", "ana & bo")]).await;
/// assert_eq!(response.text(), "name=ana%20%26%20bo");
/// let response = client.post("/").json(&[1, 2]).await;
/// assert_eq!(response.json::<Vec<u8>>(), [1, 2]);
/// # });
/// ```
#[must_use = "a request is sent when it is awaited"]
pub struct TestRequest {
    pages: BoxApplication<Http>,
    cookies: CookieJar,
    request: Request<Body>,
    caller: Caller,
}

impl TestRequest {
    /// Adds a header.
    ///
    /// A `cookie` header replaces the client's cookies in this request, and a `content-type` that of
    /// [`json`](Self::json) or [`form`](Self::form) before it.
    ///
    /// # Panics
    /// If the name or the value is malformed.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("the header's name is well formed");
        let value: HeaderValue = value.parse().expect("the header's value is well formed");
        let headers = self.request.headers_mut();
        if name == header::CONTENT_TYPE {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets the body to this value in JSON, with its content type.
    ///
    /// # Panics
    /// If the value cannot be serialized.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).expect("the value can be written as JSON");
        self.typed("application/json", text)
    }

    /// Sets the body to these fields of a form, with its content type.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let pairs = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let pairs: Vec<_> = pairs.collect();
        self.typed("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// Sends the request, to read the response in parts.
    pub fn open(self) -> HttpCommunicator {
        HttpCommunicator::open_with(&self.pages, self.request, Some(&self.cookies))
    }

    fn typed(mut self, kind: &'static str, text: String) -> Self {
        let headers = self.request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        self.body(text)
    }

    async fn send(self) -> TestResponse {
        let caller = self.caller;
        match self.open().complete(caller).await {
            Ok(response) => TestResponse { response, caller },
            Err(error) => fail(
                caller,
                format_args!("expected a response and got {error:?}"),
            ),
        }
    }
}

/// Sends the request, and reads the whole response.
///
/// # Panics
/// If the head, or the body after it, does not arrive within 5 s, or the application ends without a
/// response.
impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("method", self.request.method())
            .field("uri", self.request.uri())
            .finish_non_exhaustive()
    }
}

/// A complete response to a [`TestClient`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use seaway::{from_service, routing::ProtocolTypeRouter, testing::TestClient};
/// # let echo = axum::Router::new().fallback(|body: String| async { body });
/// # let client = TestClient::new(&ProtocolTypeRouter::new().http(from_service(echo)));
/// let response = client.post("/echo").body("ahoy").await;
///
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
/// assert_eq!(response.text(), "ahoy");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct TestResponse {
    response: Response<Bytes>,
    caller: Caller,
}

impl TestResponse {
    /// Returns the status.
    ///
    /// The reason of a 500 or 503 is in the output of a test that fails.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the value of a header, if the response has it and it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        let text = std::str::from_utf8(self.body());
        text.unwrap_or_else(|error| fail(self.caller, format_args!("the body is no text: {error}")))
    }

    /// Returns the body, decoded from JSON.
    ///
    /// # Panics
    /// If it is no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        from_json(self.caller, self.body())
    }
}
