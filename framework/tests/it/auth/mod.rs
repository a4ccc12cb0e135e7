//! Tests of authentication: login, logout, guards, and a user's WebSockets.

mod bans;
mod cookies;
mod guards;
mod logins;
mod logouts;
mod tokens;
