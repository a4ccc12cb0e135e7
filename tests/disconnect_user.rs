//! Tests of disconnecting a user's WebSockets from another process, or from Python.

use seaway::{
    ApplicationExt, Authenticator, BoxApplication, Channels, Context, Result, WebSocketConsumer,
    consumer, middleware::Auth, protocol::WebSocket, testing::WebSocketCommunicator,
};
use seaway_tests::support::{Python, Redis};
use serde_json::json;

#[derive(Clone)]
struct Account {
    name: String,
}

/// An authenticator that accepts every name.
struct Accounts;

impl Authenticator for Accounts {
    type User = Account;
    type Credentials = ();

    fn id(&self, account: &Account) -> String {
        account.name.clone()
    }

    async fn load(&self, id: &str) -> Result<Option<Account>> {
        let name = id.to_owned();
        Ok(Some(Account { name }))
    }

    async fn authenticate(&self, (): ()) -> Result<Option<Account>> {
        Ok(None)
    }
}

#[derive(WebSocketConsumer)]
struct Member {
    #[user]
    account: Account,
}

#[consumer]
impl Member {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.account.name.as_str()).await?)
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

#[tokio::test]
async fn another_process_can_disconnect_a_user() {
    let redis = Redis::new().await;
    let (here, there) = (process(&redis).await, process(&redis).await);
    let members = members(&here);
    let (mut ana, mut bo) = (enters(&members, "ana").await, enters(&members, "bo").await);

    there.disconnect_user("ana").await.unwrap();

    assert_eq!(ana.receive_close().await.code, 4401);
    is_still_here(&mut bo).await;
}

#[tokio::test]
async fn python_can_disconnect_a_user() {
    let redis = Redis::new().await;
    let members = members(&process(&redis).await);
    let (mut ana, mut bo) = (enters(&members, "ana").await, enters(&members, "bo").await);

    let mut python = Python::start("group_send.py", &redis, &["seaway.user.ana"]);
    python.send(&json!({ "type": "seaway.disconnect", "code": 4403, "reason": "not today" }));

    let close = ana.receive_close().await;
    assert_eq!((close.code, close.reason()), (4403, "not today"));
    is_still_here(&mut bo).await;
}

async fn process(redis: &Redis) -> Channels {
    Channels::redis(redis.url()).await.expect("Redis answers")
}

fn members(channels: &Channels) -> BoxApplication<WebSocket> {
    let auth = Auth::new(Accounts).tokens(|token| async move { Ok(Some(token)) });
    Member::application(channels).with(auth).boxed()
}

/// Connects as this user, and waits for the welcome.
async fn enters(members: &BoxApplication<WebSocket>, name: &str) -> WebSocketCommunicator {
    let request = http::Request::get("/").header("authorization", format!("Bearer {name}"));
    let mut member = WebSocketCommunicator::open(members, request);
    assert_eq!(member.receive_text().await, name);
    member
}

async fn is_still_here(member: &mut WebSocketCommunicator) {
    member.send("still here").await;
    assert_eq!(member.receive_text().await, "still here");
}
