//! A room, and its past.

use super::{csrf, html::page, problem::Problem};
use crate::{accounts::Account, chat::Chat, messages::Page, rooms::Room};
use askama::Template;
use axum::{
    Json,
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;
use seaway::{Session, User};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "room.html")]
struct RoomPage {
    csrf: String,
    user: Account,
    room: Room,
}

/// Which messages to fetch.
#[derive(Deserialize)]
pub struct Before {
    before: i64,
}

/// `GET /rooms/{slug}`
pub async fn page_of(
    State(chat): State<Arc<Chat>>,
    User(user): User<Account>,
    session: Session,
    Path(slug): Path<String>,
) -> Result<Response, Problem> {
    let room = chat.rooms.find(&slug).await?;
    let room = RoomPage {
        room: room.ok_or_else(Problem::no_such_room)?,
        csrf: csrf::token(&session).await?,
        user,
    };
    page(StatusCode::OK, &room)
}

/// `GET /rooms/{slug}/messages?before=ID`
pub async fn past(
    State(chat): State<Arc<Chat>>,
    Path(slug): Path<String>,
    Query(Before { before }): Query<Before>,
) -> Result<Json<Page>, Problem> {
    let room = chat.rooms.find(&slug).await?;
    let room = room.ok_or_else(Problem::no_such_room)?;
    Ok(Json(chat.messages.before(&room, before).await?))
}
