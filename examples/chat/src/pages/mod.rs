//! The pages: an ordinary axum application.
//!
//! | file | contains |
//! | --- | --- |
//! | `account.rs` | sign-up, login, logout |
//! | `rooms.rs` | the list of rooms, the creation of a room, and the page of each |
//! | `assets.rs` | scripts, style and icon |
//! | `next.rs` | the redirect after a login |
//! | `problem.rs` | errors as pages |
//! | `html.rs` | template responses, and the headers of every response |

mod account;
mod assets;
mod html;
mod next;
mod problem;
mod rooms;

use crate::{accounts::Account, chat::Chat};
use account::FormKind;
use axum::{
    Router, extract::DefaultBodyLimit, middleware::map_response, response::Redirect, routing::get,
};
use seaway::middleware::RequireUser;
use std::sync::Arc;

/// The largest request body in bytes; no form is larger.
const LARGEST_FORM: usize = 16 * 1024;

/// Redirects `GET` of a form's URL to the list of rooms, as after a reload or a login.
async fn home() -> Redirect {
    Redirect::to("/")
}

/// Returns the routes of all pages.
pub fn router(chat: Arc<Chat>) -> Router {
    let for_members = Router::new()
        .route("/", get(rooms::list))
        .route("/rooms", get(home).post(rooms::create))
        .route("/rooms/{slug}", get(rooms::room))
        .route("/rooms/{slug}/messages", get(rooms::past))
        .route_layer(RequireUser::<Account>::new().redirect_to("/login"));
    let for_all = Router::new()
        .route("/signup", account::form(FormKind::SignUp))
        .route("/login", account::form(FormKind::LogIn))
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
