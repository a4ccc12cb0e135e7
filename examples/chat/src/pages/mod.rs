//! The pages: an axum application like any other.
//!
//! | file | idea |
//! | --- | --- |
//! | `account.rs` | sign up, log in, log out |
//! | `rooms.rs` | the list of rooms, and making one |
//! | `room.rs` | a room, and its past |
//! | `assets.rs` | scripts, style and icon |
//! | `csrf.rs` | forms come from our own pages |
//! | `next.rs` | where to go after a log-in |
//! | `problem.rs` | what went wrong, as a page |
//! | `html.rs` | a template as a reply, with its headers |

mod account;
mod assets;
mod csrf;
mod html;
mod next;
mod problem;
mod room;
mod rooms;

use crate::{accounts::Account, chat::Chat};
use axum::{
    Router, extract::DefaultBodyLimit, middleware::map_response, response::Redirect, routing::get,
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
        .route("/rooms/{slug}", get(room::page_of))
        .route("/rooms/{slug}/messages", get(room::past))
        .route_layer(RequireUser::<Account>::new().redirect_to("/login"));
    let for_all = Router::new()
        .route("/signup", get(account::signup_page).post(account::sign_up))
        .route("/login", get(account::login_page).post(account::log_in))
        .route("/logout", get(home).post(account::log_out));
    Router::new()
        .merge(for_members)
        .merge(for_all)
        .with_state(chat)
        .merge(assets::router())
        .route("/healthz", get(|| async { "ok" }))
        .fallback(problem::no_such_page)
        .layer(map_response(html::with_headers))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
}
