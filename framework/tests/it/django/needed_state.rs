//! Tests of the state that consumers inside `DjangoAuth` need.

use super::site::Site;
use seaway::{
    ErrorKind, WebSocketConsumer, consumer,
    django::{
        DjangoAuth, DjangoDatabase, DjangoSession, DjangoSessions, DjangoUser, DjangoView,
        SecretKeys,
    },
    middleware::Sessions,
    routing::ProtocolTypeRouter,
    serve,
    session::MemoryStore,
};
use std::future::pending;

/// A consumer of a user, and of a session of Django.
#[derive(WebSocketConsumer)]
struct Shopper {
    #[user]
    user: DjangoUser,
    session: DjangoSession,
}

#[consumer]
impl Shopper {}

/// A consumer of a value in a session of Seaway.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Basket {
    #[session("cart")]
    cart: Option<Vec<u64>>,
}

#[consumer]
impl Basket {}

#[tokio::test]
async fn a_consumer_that_needs_a_session_which_django_auth_does_not_have_stops_the_start() {
    let site = Site::new().await;
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    let of_tables = DjangoAuth::new(SecretKeys::new(site.secret_key()), sessions, &database);
    let of_view = DjangoAuth::from_view(DjangoView::new("http://127.0.0.1:1", "/seaway/user/"));
    let shopper = || ProtocolTypeRouter::new().websocket(Shopper::application(&site.channels));
    let basket = || ProtocolTypeRouter::new().websocket(Basket::application(&site.channels));

    let served = serve("127.0.0.1:0", basket().with(of_tables.clone())).stop_on(pending());

    let error = served.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert_eq!(
        error.to_string(),
        "it::django::needed_state::Basket needs a Session: `Session` and #[session] read sessions of Seaway, of \
         the middleware Sessions; for a value in the session of Django, use a field of the type \
         DjangoSession and its `get`"
    );
    let both = Sessions::new(MemoryStore::default(), &site.channels);
    let both = basket().with(of_tables.clone()).with(both);
    assert_eq!(both.required_state().to_string(), "");
    let found = shopper().with(of_tables);
    assert_eq!(found.required_state().to_string(), "");
    let missing = shopper().with(of_view);
    assert_eq!(
        missing.required_state().to_string(),
        "it::django::needed_state::Shopper needs a DjangoSession: wrap the application in the middleware \
         DjangoAuth, with Django's sessions and not with a view"
    );
}
