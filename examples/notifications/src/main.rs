//! A shop whose HTTP handlers send notifications to a customer's WebSockets, in every process.
//!
//! Open <http://127.0.0.1:8000> in two different browsers, log in as Ana and as Bo, and ship a
//! parcel to one of them: only that customer is notified, in every tab. There are no passwords
//! here; `examples/chat` has them. With a Redis at `REDIS_URL`, handler and WebSocket may be in
//! different processes.

use axum::{
    Form, Router,
    extract::{Path, State},
    response::{Html, Redirect},
    routing::{get, post},
};
use launch::Program;
use seaway::{
    ApplicationExt, AuthSession, Authenticator, Channels, Context, Event, Group, Json, Result,
    Shared, User, WebSocketConsumer, consumer, from_service,
    middleware::{Auth, RejectCrossSite, RequireUser, Sessions},
    routing::ProtocolTypeRouter,
    serve,
    session::MemoryStore,
};
use serde::Deserialize;
use std::fmt;

const PAGE: &str = include_str!("page.html");

/// A customer, who is identified by the name alone.
#[derive(Clone, Deserialize)]
struct Customer {
    name: String,
}

impl fmt::Display for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An authenticator that accepts any valid name, without a password.
struct Customers;

impl Authenticator for Customers {
    type User = Customer;
    type Credentials = String;

    fn id(&self, customer: &Customer) -> String {
        customer.name.clone()
    }

    async fn load(&self, id: &str) -> Result<Option<Customer>> {
        let name = id.to_owned();
        Ok(Some(Customer { name }))
    }

    async fn authenticate(&self, name: String) -> Result<Option<Customer>> {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Ok((is_name && name.len() <= 30).then_some(Customer { name }))
    }
}

/// The events of a customer's group.
#[derive(Event)]
#[event(prefix = "parcel")]
enum ParcelEvent {
    Shipped { what: String },
}

/// One open tab of a customer.
#[derive(WebSocketConsumer)]
struct Tab {
    #[user]
    customer: Customer,
    #[group("customer.{customer}")]
    _tabs: Group<ParcelEvent>,
}

#[consumer]
impl Tab {
    async fn opened(&mut self, ctx: &mut Context<ParcelEvent>) -> Result<()> {
        Ok(ctx.send(format!("hello, {}", self.customer)).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<ParcelEvent>,
        event: Shared<ParcelEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

const PROGRAM: Program = Program {
    name: "notifications",
    about: "A shop whose handlers send notifications to its customers' WebSockets.",
    settings: &[launch::REDIS_URL],
};

#[tokio::main]
async fn main() -> Result<()> {
    let address = PROGRAM.start();
    let channels = launch::channels(&PROGRAM).await?;
    let members = Router::new()
        .route("/me", get(async |User(me): User<Customer>| me.name))
        .route("/ship/{name}", post(ship))
        .route_layer(RequireUser::<Customer>::new());
    let pages = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/login", post(log_in))
        .merge(members)
        .with_state(channels.clone());
    let sessions = Sessions::new(MemoryStore::default(), &channels)
        // Browsers share cookies between all ports of a host: other examples may run on other
        // ports.
        .cookie_name(PROGRAM.name)
        // Safari does not store `Secure` cookies without HTTPS, even from 127.0.0.1.
        .secure(false);
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages).with(RejectCrossSite))
        .websocket(Tab::application(&channels))
        .with(Auth::new(Customers))
        .with(sessions);
    let listener = address.listen().await?;
    println!("notifications listens on http://{}", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}

async fn log_in(
    auth: AuthSession<Customers>,
    Form(Customer { name }): Form<Customer>,
) -> Result<Redirect> {
    if let Some(customer) = auth.authenticate(name).await? {
        auth.log_in(&customer).await?;
    }
    Ok(Redirect::to("/"))
}

/// The form of `POST /ship/{name}`.
#[derive(Deserialize)]
struct Parcel {
    what: String,
}

/// Sends a notification to all of a customer's tabs, in every process.
async fn ship(
    State(channels): State<Channels>,
    User(sender): User<Customer>,
    Path(name): Path<String>,
    Form(Parcel { what }): Form<Parcel>,
) -> Result<String> {
    let told = format!("{what}, from {sender}");
    let tabs = channels.group::<ParcelEvent>(format!("customer.{name}"))?;
    tabs.send(&ParcelEvent::Shipped { what: told }).await?;
    Ok(format!("{name} will be notified"))
}
