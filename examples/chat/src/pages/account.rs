//! Sign-up, log-in and log-out. The first two share a form.

use super::{html::Rendered, next::Next, problem::Problem};
use crate::{
    accounts::{Accounts, Credentials},
    attempts::Verdict,
    chat::Chat,
    names::UserName,
};
use askama::Template;
use axum::{
    Extension, Form,
    extract::{FromRequestParts, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER, request::Parts};
use seaway::{AuthSession, ClientAddr, Rejection};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

/// The message after a failed log-in, whether or not the account exists.
const NOT_FOUND: &str = "The name or the password is wrong.";

/// The kind of the form.
#[derive(Clone, Copy, PartialEq)]
pub enum FormKind {
    SignUp,
    LogIn,
}

impl FormKind {
    fn is_new(self) -> bool {
        self == Self::SignUp
    }
}

/// Returns the route of one form. The form has no `action`, so it is sent to its own URL, including
/// `?next=…`.
pub fn form(kind: FormKind) -> MethodRouter<Arc<Chat>> {
    get(show).post(enter).layer(Extension(kind))
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    kind: FormKind,
    next: &'a Next,
    /// The typed name.
    name: &'a str,
    problem: Option<&'a str>,
}

async fn show(
    Extension(kind): Extension<FormKind>,
    Query(next): Query<Next>,
    auth: AuthSession<Accounts>,
) -> Result<Response, Problem> {
    if auth.user().await?.is_some() {
        return Ok(Redirect::to(next.as_str()).into_response());
    }
    let page = AccountPage {
        kind,
        next: &next,
        name: "",
        problem: None,
    };
    Ok(Rendered(page).into_response())
}

/// The submitted form.
#[derive(Deserialize)]
struct Typed {
    name: String,
    password: String,
}

async fn enter(
    State(chat): State<Arc<Chat>>,
    Extension(kind): Extension<FormKind>,
    Query(next): Query<Next>,
    Client(address): Client,
    auth: AuthSession<Accounts>,
    Form(Typed {
        name: typed,
        password,
    }): Form<Typed>,
) -> Result<Response, Problem> {
    let again = |problem| {
        Rendered(AccountPage {
            kind,
            next: &next,
            name: &typed,
            problem: Some(problem),
        })
    };
    let wrong = |problem| Ok((StatusCode::BAD_REQUEST, again(problem)).into_response());
    let Some(name) = UserName::typed(&typed) else {
        return wrong(match kind {
            FormKind::SignUp => "A name has 1 to 30 characters that can be seen.",
            FormKind::LogIn => NOT_FOUND,
        });
    };
    // Hashing is expensive, so repeated sign-ups are limited like repeated log-ins.
    if let Verdict::Wait { seconds } = chat.attempts.note(&name, address).await? {
        let problem = format!(
            "Too many attempts. Try again in {} min.",
            (seconds + 59) / 60
        );
        let headers = [(RETRY_AFTER, seconds.to_string())];
        return Ok((StatusCode::TOO_MANY_REQUESTS, headers, again(&problem)).into_response());
    }
    let shown = Credentials { name, password };
    let entered = match kind {
        FormKind::SignUp => chat.accounts.sign_up(shown).await?,
        FormKind::LogIn => auth.authenticate(shown).await?.ok_or(NOT_FOUND),
    };
    let account = match entered {
        Ok(account) => account,
        Err(problem) => return wrong(problem),
    };
    if kind == FormKind::LogIn {
        chat.attempts.forget(&account, address).await?;
    }
    auth.log_in(&account).await?;
    Ok(Redirect::to(next.as_str()).into_response())
}

/// Handles `POST /logout`.
pub async fn log_out(auth: AuthSession<Accounts>) -> Result<Redirect, Problem> {
    auth.log_out().await?;
    Ok(Redirect::to("/login"))
}

/// The address of the client.
pub struct Client(IpAddr);

impl FromRequestParts<Arc<Chat>> for Client {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, chat: &Arc<Chat>) -> Result<Self, Rejection> {
        let peer = <ClientAddr as FromRequestParts<_>>::from_request_parts(parts, chat).await?;
        let told = match chat.is_behind_proxy {
            true => forwarded(&parts.headers),
            false => None,
        };
        Ok(Self(told.unwrap_or(peer.0.ip())))
    }
}

/// Returns the last address of X-Forwarded-For, which the proxy added itself. The client may forge
/// those before it.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = line.as_bytes().rsplit(|byte| *byte == b',').next()?;
    std::str::from_utf8(last).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_that_the_proxy_appended_counts() {
        for (line, expected) in [
            (&b"203.0.113.7"[..], Some("203.0.113.7")),
            (b"10.0.0.1, 203.0.113.7", Some("203.0.113.7")),
            (b"\xff, 203.0.113.7", Some("203.0.113.7")),
            (b"203.0.113.7, unknown", None),
            (b"2001:db8::1", Some("2001:db8::1")),
        ] {
            let mut headers = HeaderMap::new();
            let line = http::HeaderValue::from_bytes(line).unwrap();
            headers.insert("x-forwarded-for", line.clone());

            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(forwarded(&headers), expected, "{line:?}");
        }
        assert_eq!(forwarded(&HeaderMap::new()), None);
    }
}
