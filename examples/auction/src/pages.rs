//! The page, the login, and what the auctioneer does.

use crate::{accounts::Account, accounts::LogIn, auction::Auction, feed::Feed};
use axum::{
    Form, Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::Html,
    routing::{get, post},
};
use seaway::{AuthSession, HttpConsumer, Rejection, Result, User, middleware::RequireUser};
use serde::Deserialize;
use sqlx::query;

const CLIENT: &str = include_str!("../../../clients/js/dist/seaway.js");
const JS: [(&str, &str); 1] = [("content-type", "text/javascript")];

pub fn router(auction: &Auction) -> Router {
    let auctioneers = RequireUser::new().when(|account: &Account| account.is_auctioneer);
    Router::new()
        .route("/open", post(open))
        .route("/remove", post(remove))
        .route_layer(auctioneers) // around the routes above it
        .route("/", get(Html(include_str!("../static/page.html"))))
        .route("/page.js", get((JS, include_str!("../static/page.js"))))
        .route("/seaway.js", get((JS, CLIENT)))
        .route("/me", get(me))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route_service("/feed", Feed::application(&auction.channels))
        .layer(DefaultBodyLimit::max(1024)) // no form is longer
        .with_state(auction.clone())
}

async fn me(user: Option<User<Account>>) -> Json<Option<Account>> {
    Json(user.map(|user| user.0))
}

async fn log_in(auth: AuthSession<Auction>, Form(form): Form<LogIn>) -> Result<(), Rejection> {
    let account = auth.authenticate(form).await?;
    let account = account.ok_or(Rejection::from_status(StatusCode::UNAUTHORIZED))?;
    Ok(auth.log_in(&account).await?)
}

async fn log_out(auth: AuthSession<Auction>) -> Result<()> {
    Ok(auth.log_out().await?)
}

#[derive(Deserialize)]
struct NewLot {
    title: String,
    seconds: u32,
}

async fn open(State(auction): State<Auction>, Form(new): Form<NewLot>) -> Result<()> {
    auction.open_lot(&new.title, new.seconds).await
}

/// Prevents further logins, then closes the bidder's WebSockets, in every process.
async fn remove(State(auction): State<Auction>, name: String) -> Result<()> {
    let remove = "UPDATE accounts SET is_removed = TRUE WHERE name = ? AND NOT is_auctioneer";
    query(remove).bind(&name).execute(&auction.database).await?;
    Ok(auction.channels.disconnect_user(&name).await?)
}
