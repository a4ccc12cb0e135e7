//! Sign-up, login and logout. The first two share a form.

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
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use http::{StatusCode, header::RETRY_AFTER};
use seaway::{AuthSession, ClientAddr};
use serde::Deserialize;
use std::sync::Arc;

/// The message after a failed login, whether or not the account exists.
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
    ClientAddr(client): ClientAddr,
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
    // Hashing is expensive, so repeated sign-ups are limited like repeated logins.
    if let Verdict::Wait { seconds } = chat.attempts.note(&name, client.ip()).await? {
        let problem = format!(
            "Too many attempts. Try again in {} min.",
            (seconds + 59) / 60
        );
        let headers = [(RETRY_AFTER, seconds.to_string())];
        return Ok((StatusCode::TOO_MANY_REQUESTS, headers, again(&problem)).into_response());
    }
    let credentials = Credentials { name, password };
    let entered = match kind {
        FormKind::SignUp => chat.accounts.sign_up(credentials).await?,
        FormKind::LogIn => auth.authenticate(credentials).await?.ok_or(NOT_FOUND),
    };
    let account = match entered {
        Ok(account) => account,
        Err(problem) => return wrong(problem),
    };
    if kind == FormKind::LogIn {
        chat.attempts.forget(&account, client.ip()).await?;
    }
    auth.log_in(&account).await?;
    Ok(Redirect::to(next.as_str()).into_response())
}

/// Handles `POST /logout`.
pub async fn log_out(auth: AuthSession<Accounts>) -> Result<Redirect, Problem> {
    auth.log_out().await?;
    Ok(Redirect::to("/login"))
}
