//! Tests of `#[session]` and `#[user]`: fields from the session and the user.

use http::Request;
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Context, Result, Scope, User,
    WebSocketConsumer, consumer,
    middleware::{Auth, Authenticator, Sessions},
    protocol::{Upgrade, WebSocket},
    session::{MemoryStore, Session},
    testing::WebSocketCommunicator,
};

#[derive(Clone)]
struct Account {
    name: String,
}

struct Accounts;

impl Authenticator for Accounts {
    type User = Account;
    type Credentials = String;

    async fn load(&self, id: &str) -> Result<Option<Account>> {
        let name = id.to_owned();
        Ok(Some(Account { name }))
    }
    async fn authenticate(&self, name: String) -> Result<Option<Account>> {
        Ok(Some(Account { name }))
    }
    fn id(&self, account: &Account) -> String {
        account.name.clone()
    }
}

#[derive(WebSocketConsumer)]
struct Shopper {
    #[session("cart")]
    cart: Vec<u32>,
    #[session("coupon")]
    coupon: Option<String>,
    #[user]
    user: Option<Account>,
    anyone: Option<User<Account>>,
    session: Session,
}

#[consumer]
impl Shopper {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        let user = self.user.as_ref().map(|user| user.name.as_str());
        let anyone = self.anyone.as_ref().map(|user| user.name.as_str());
        let lots = self.session.get::<Vec<u32>>("cart").await?;
        let fields = (&self.cart, lots, &self.coupon, user, anyone);
        Ok(ctx.send(format!("{fields:?}")).await?)
    }
}

#[derive(WebSocketConsumer)]
struct Member {
    #[user]
    user: Account,
}

#[consumer]
impl Member {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.user.name.as_str()).await?)
    }
}

/// Puts a cart into the session before the consumer sees it, if the query asks for one.
fn shop<A: Application<WebSocket>>(consumer: A) -> BoxApplication<WebSocket> {
    let consumer = consumer.boxed();
    let channels = Channels::in_memory();
    seaway::application_fn(move |scope: Scope<WebSocket>, upgrade: Upgrade| {
        let consumer = consumer.clone();
        async move {
            if scope.raw_query("cart").is_some() {
                let session = scope.state::<Session>()?.clone();
                session.insert("cart", vec![1, 2]).await?;
            }
            consumer.call(scope, upgrade).await
        }
    })
    .with(Auth::new(Accounts).tokens(|token| async move { Ok(Some(token)) }))
    .with(Sessions::new(MemoryStore::default(), &channels))
    .boxed()
}

#[tokio::test]
async fn a_field_is_filled_from_the_session() {
    let app = shop(Shopper::application(&Channels::in_memory()));

    let mut shopper = WebSocketCommunicator::open(&app, Request::get("/?cart"));

    assert_eq!(
        shopper.receive_text().await,
        "([1, 2], Some([1, 2]), None, None, None)"
    );
}

#[tokio::test]
async fn a_session_without_the_value_gets_401_and_the_name_of_the_field() {
    let app = shop(Shopper::application(&Channels::in_memory()));

    let mut shopper = WebSocketCommunicator::open(&app, Request::get("/"));

    assert_eq!(shopper.status().await, 401);
    let response = shopper.response().await;
    assert_eq!(&**response.body(), "the session has no value \"cart\"");
}

#[tokio::test]
async fn an_anonymous_request_gets_401_where_a_user_is_required() {
    let app = shop(Member::application(&Channels::in_memory()));

    let mut nobody = WebSocketCommunicator::open(&app, Request::get("/"));

    assert_eq!(nobody.status().await, 401);
}

#[tokio::test]
async fn a_field_is_filled_with_the_user() {
    let as_ana = |path| Request::get(path).header("authorization", "Bearer ana");
    let member = shop(Member::application(&Channels::in_memory()));
    let shopper = shop(Shopper::application(&Channels::in_memory()));

    let mut member = WebSocketCommunicator::open(&member, as_ana("/"));
    let mut shopper = WebSocketCommunicator::open(&shopper, as_ana("/?cart"));

    assert_eq!(member.receive_text().await, "ana");
    let expected = r#"([1, 2], Some([1, 2]), None, Some("ana"), Some("ana"))"#;
    assert_eq!(shopper.receive_text().await, expected);
}
