//! The list of rooms, and making one.

use super::{csrf, html::page, problem::Problem};
use crate::{accounts::Account, chat::Chat, room_list::ListedRoom, rooms::Creation};
use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use seaway::{Session, User};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "rooms.html")]
struct RoomsPage<'a> {
    csrf: String,
    user: Account,
    rooms: Vec<ListedRoom>,
    problem: Option<&'a str>,
    /// What was typed.
    room_name: &'a str,
}

/// What is sent to make a room.
#[derive(Deserialize)]
pub struct NewRoom {
    name: String,
    #[serde(default)]
    csrf: String,
}

/// `GET /`
pub async fn list(
    State(chat): State<Arc<Chat>>,
    User(user): User<Account>,
    session: Session,
) -> Result<Response, Problem> {
    let rooms = RoomsPage {
        csrf: csrf::token(&session).await?,
        rooms: chat.list.of(&user).await?,
        user,
        problem: None,
        room_name: "",
    };
    page(StatusCode::OK, &rooms)
}

/// `POST /rooms`
pub async fn create(
    State(chat): State<Arc<Chat>>,
    User(user): User<Account>,
    session: Session,
    Form(new): Form<NewRoom>,
) -> Result<Response, Problem> {
    csrf::check(&session, &new.csrf).await?;
    let (status, problem) = match chat.rooms.create(&new.name).await? {
        Creation::Done(room) => {
            chat.list.forget().await;
            chat.news.created(&room).await;
            return Ok(Redirect::to(&format!("/rooms/{}", room.slug)).into_response());
        }
        Creation::BadName => (
            StatusCode::BAD_REQUEST,
            "A room’s name has 1 to 40 characters.",
        ),
        Creation::Taken => (
            StatusCode::CONFLICT,
            "There is a room of this name already.",
        ),
    };
    let rooms = RoomsPage {
        csrf: new.csrf,
        rooms: chat.list.of(&user).await?,
        user,
        problem: Some(problem),
        room_name: &new.name,
    };
    page(status, &rooms)
}
