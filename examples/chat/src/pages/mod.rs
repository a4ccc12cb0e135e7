//! The pages: an axum application like any other.
//!
//! | file | idea |
//! | --- | --- |
//! | `account.rs` | sign up, log in, log out |
//! | `rooms.rs` | the list of rooms, making one, and the page of each |
//! | `assets.rs` | scripts, style and icon |
//! | `forms.rs` | forms come from our own pages |
//! | `next.rs` | where to go after a log-in |
//! | `problem.rs` | what went wrong, as a page |
//! | `html.rs` | a template as a reply, and the headers of every reply |

mod account;
mod assets;
mod forms;
mod html;
mod next;
mod problem;
mod rooms;

use crate::{accounts::Account, chat::Chat};
use account::Door;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, map_response},
    response::Redirect,
    routing::get,
};
use seaway::middleware::RequireUser;
use std::sync::Arc;

/// No form of ours is larger.
const LARGEST_FORM: usize = 16 * 1024;

/// Addresses that only forms lead to: whoever comes back to one, by reloading or after a log-in, wants the list.
async fn home() -> Redirect {
    Redirect::to("/")
}

/// The routes of all pages.
pub fn router(chat: Arc<Chat>) -> Router {
    let for_members = Router::new()
        .route("/", get(rooms::list))
        .route("/rooms", get(home).post(rooms::create))
        .route("/rooms/{slug}", get(rooms::room))
        .route("/rooms/{slug}/messages", get(rooms::past))
        .route_layer(RequireUser::<Account>::new().redirect_to("/login"));
    let for_all = Router::new()
        .route("/signup", account::form(Door::SignUp))
        .route("/login", account::form(Door::LogIn))
        .route("/logout", get(home).post(account::log_out));
    Router::new()
        .merge(for_members)
        .merge(for_all)
        .with_state(chat)
        .merge(assets::router())
        .route("/healthz", get(|| async { "ok" }))
        .fallback(problem::no_such_page)
        .layer(from_fn(forms::only_ours))
        .layer(map_response(html::with_headers))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
}
