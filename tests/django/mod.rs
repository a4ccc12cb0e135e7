//! Tests of `examples/beside-django` with real Django: a socket knows the user who is logged in on
//! a Django page, and is closed when that user loses access.
//!
//! | file | contains |
//! | --- | --- |
//! | `site.rs`, `matrix.rs`, `socket.rs` | a site, and the server beside it; versions of Django, engines and databases; a socket that sends whom it knows |
//! | `logins.rs`, `logouts.rs`, `checks.rs` | logins, logouts that Django announces, and changes that the next check finds |
//! | `keys.rs`, `expiry.rs`, `locked_database.rs`, `user_models.rs` | rotated keys, expired sessions, a database that is locked, user models of a site's own |
//! | `permissions.rs`, `session_writes.rs` | permissions and groups; values that are written to a session |
//! | `view.rs` | a view of the site that says who is logged in |
//! | `example.rs`, `pages.rs`, `proxy.rs` | the example with the site that it starts, its pages in a browser, and the proxy |

mod checks;
mod example;
mod expiry;
mod keys;
mod locked_database;
mod logins;
mod logouts;
mod matrix;
mod pages;
mod permissions;
mod proxy;
mod session_writes;
mod site;
mod socket;
mod user_models;
mod view;
