//! The login of a test client without a password.

use super::{Caller, TestClient, described, fail, parse_path};
use crate::{
    middleware::LogInAs,
    protocol::{Body, Http, WebSocket},
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use http::{Request, Response, StatusCode, Uri};
use std::{any::type_name, borrow::Cow, future::Future, panic::Location, sync::atomic::Ordering};

impl TestClient {
    /// Logs this user in without credentials, as `AuthSession::log_in` does: the client gets the
    /// session cookie, and its next requests and WebSockets have this user.
    ///
    /// The middleware [`Auth`](crate::middleware::Auth) with users of this type responds to a
    /// request for `/`, in place of the application inside it. If it is only around other paths,
    /// see [`log_in_at`](Self::log_in_at).
    ///
    /// ```
    /// # #[derive(Clone)] struct Account { name: String }
    /// # struct Accounts;
    /// # impl seaway::Authenticator for Accounts {
    /// #     type User = Account; type Credentials = ();
    /// #     fn id(&self, account: &Account) -> String { account.name.clone() }
    /// #     async fn load(&self, id: &str) -> seaway::Result<Option<Account>> { Ok(Some(Account { name: id.to_owned() })) }
    /// #     async fn authenticate(&self, _: ()) -> seaway::Result<Option<Account>> { Ok(None) }
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # use seaway::{Channels, User, from_service, middleware::{Auth, Sessions}, routing::ProtocolTypeRouter, session::MemoryStore};
    /// use seaway::testing::TestClient;
    ///
    /// # let me = axum::routing::get(|user: User<Account>| async move { user.name.clone() });
    /// # let app = ProtocolTypeRouter::new()
    /// #     .http(from_service(axum::Router::new().route("/me", me)))
    /// #     .with(Auth::new(Accounts))
    /// #     .with(Sessions::new(MemoryStore::default(), &Channels::in_memory()));
    /// let ana = TestClient::new(&app);
    /// assert_eq!(ana.get("/me").await.status(), 401);
    ///
    /// ana.log_in_as(&Account { name: "ana".to_owned() }).await;
    ///
    /// assert_eq!(ana.get("/me").await.text(), "ana");
    /// # });
    /// ```
    ///
    /// # Panics
    /// If no `Auth` with users of this type is around `/`, if it is not inside
    /// [`Sessions`](crate::middleware::Sessions), or if the session store fails.
    #[track_caller]
    pub fn log_in_as<U>(&self, user: &U) -> impl Future<Output = ()>
    where
        U: Clone + Send + Sync + 'static,
    {
        self.log_in(Location::caller(), Uri::default(), user.clone())
    }

    /// Logs this user in as [`log_in_as`](Self::log_in_as) does, by the `Auth` around this path.
    ///
    /// ```
    /// # #[derive(Clone)] struct Admin { name: String }
    /// # async fn example(client: seaway::testing::TestClient, admin: Admin) {
    /// client.log_in_at("/admin/", &admin).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// As `log_in_as`, and if the path is malformed.
    #[track_caller]
    pub fn log_in_at<U>(&self, path: &str, user: &U) -> impl Future<Output = ()>
    where
        U: Clone + Send + Sync + 'static,
    {
        self.log_in(Location::caller(), parse_path(path), user.clone())
    }

    async fn log_in<U>(&self, caller: Caller, path: Uri, user: U)
    where
        U: Clone + Send + Sync + 'static,
    {
        let (log_in, is_taken) = LogInAs::new(user);
        let request = Request::get(path.clone()).extension(log_in);
        let request = request.body(()).expect("its path is well formed");
        let response = self.response_to(caller, request).await;
        let got = described(response.status(), response.body(), response.extensions());
        let user = type_name::<U>();
        if !is_taken.load(Ordering::Acquire) {
            let why = "put Auth around that path, or name another one with log_in_at";
            fail(
                caller,
                format_args!(
                    "no Auth with users of type {user} saw the request for {path}, which got {got}: {why}"
                ),
            );
        }
        if response.status() != StatusCode::NO_CONTENT {
            fail(caller, format_args!("could not log in a {user}: {got}"));
        }
    }

    /// Sends a request to the pages, or, without pages, to the WebSockets.
    async fn response_to(&self, caller: Caller, request: Request<()>) -> Response<String> {
        if let Some(pages) = self.router().get::<Http>() {
            let request = request.map(|()| Body::empty());
            let client = HttpCommunicator::open_with(pages, request, Some(self.cookies()));
            let response = client.complete(caller).await;
            let response = response.unwrap_or_else(|error| fail(caller, format_args!("{error:#}")));
            return response.map(|body| String::from_utf8_lossy(&body).into_owned());
        }
        let Some(sockets) = self.router().get::<WebSocket>() else {
            fail(
                caller,
                "the router has no application that a client could log in to",
            )
        };
        let (head, ()) = request.into_parts();
        let mut client = WebSocketCommunicator::open_with(sockets, head, Some(self.cookies()));
        client
            .response_at(caller)
            .await
            .clone()
            .map(Cow::into_owned)
    }
}
