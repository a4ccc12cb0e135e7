//! The list of rooms, the creation of a room, and the page of each.

use super::{html::Rendered, problem::Problem};
use crate::{accounts::Account, chat::Chat, messages::Page, room_list::ListedRoom, rooms::Room};
use askama::Template;
use axum::{
    Form, Json,
    extract::{FromRequestParts, Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{StatusCode, header::RETRY_AFTER, request::Parts};
use seaway::User;
use serde::Deserialize;
use std::{borrow::Cow, sync::Arc};

#[derive(Template)]
#[template(path = "rooms.html")]
pub struct ListPage {
    user: Account,
    rooms: Vec<ListedRoom>,
    problem: Option<Cow<'static, str>>,
    /// The typed name.
    room_name: String,
}

#[derive(Template)]
#[template(path = "room.html")]
pub struct RoomPage {
    user: Account,
    room: Room,
}

/// The form that creates a room.
#[derive(Deserialize)]
pub struct NewRoom {
    name: String,
}

/// The query parameters of a page of messages.
#[derive(Deserialize)]
pub struct Before {
    before: i64,
}

/// Handles `GET /`.
pub async fn list(
    State(chat): State<Arc<Chat>>,
    User(user): User<Account>,
) -> Result<Rendered<ListPage>, Problem> {
    Ok(Rendered(ListPage {
        rooms: chat.rooms.listed_for(&user).await?,
        user,
        problem: None,
        room_name: String::new(),
    }))
}

/// Handles `POST /rooms`.
pub async fn create(
    State(chat): State<Arc<Chat>>,
    User(user): User<Account>,
    Form(new): Form<NewRoom>,
) -> Result<Response, Problem> {
    if let Err(wait) = chat.limits.rooms.take(&user) {
        let problem = format!("You have made many rooms. Try again in {wait}.");
        let again = again(&chat, user, new, problem.into()).await?;
        let headers = [(RETRY_AFTER, wait.seconds().to_string())];
        return Ok((StatusCode::TOO_MANY_REQUESTS, headers, again).into_response());
    }
    match chat.rooms.create(&new.name).await? {
        Ok(room) => {
            chat.news.list_changed().await;
            Ok(Redirect::to(&format!("/rooms/{}", room.slug)).into_response())
        }
        Err(problem) => {
            let again = again(&chat, user, new, problem.into()).await?;
            Ok((StatusCode::BAD_REQUEST, again).into_response())
        }
    }
}

/// Renders the list again, with the typed name and its problem.
async fn again(
    chat: &Chat,
    user: Account,
    new: NewRoom,
    problem: Cow<'static, str>,
) -> Result<Rendered<ListPage>, Problem> {
    Ok(Rendered(ListPage {
        rooms: chat.rooms.listed_for(&user).await?,
        user,
        problem: Some(problem),
        room_name: new.name,
    }))
}

/// Handles `GET /rooms/{slug}`.
pub async fn room(User(user): User<Account>, room: Room) -> Rendered<RoomPage> {
    Rendered(RoomPage { user, room })
}

/// Handles `GET /rooms/{slug}/messages?before=ID`.
pub async fn past(
    State(chat): State<Arc<Chat>>,
    room: Room,
    Query(Before { before }): Query<Before>,
) -> Result<Json<Page>, Problem> {
    Ok(Json(chat.messages.before(&room, before).await?))
}

/// Extracts the room from the path.
impl FromRequestParts<Arc<Chat>> for Room {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, chat: &Arc<Chat>) -> Result<Self, Problem> {
        // A path may contain anything, including invalid UTF-8.
        let Ok(Path(slug)) = Path::<String>::from_request_parts(parts, chat).await else {
            return Err(Problem::no_such_room());
        };
        let room = chat.rooms.find(&slug).await?;
        room.ok_or_else(Problem::no_such_room)
    }
}
