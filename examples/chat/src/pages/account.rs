//! Sign up, log in, log out.

use super::{csrf, html::page, next::local, problem::Problem};
use crate::{
    accounts::{Accounts, Credentials, SignUp},
    attempts::Verdict,
    chat::Chat,
    client::Client,
    database::now,
};
use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use seaway::{AuthSession, Session};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    csrf: String,
    next: String,
    name: String,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "signup.html")]
struct SignupPage {
    csrf: String,
    next: String,
    name: String,
    problem: Option<String>,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// What is sent to sign up or to log in.
#[derive(Deserialize)]
pub struct Typed {
    name: String,
    password: String,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    next: String,
}

/// What is sent to log out.
#[derive(Deserialize)]
pub struct Goodbye {
    #[serde(default)]
    csrf: String,
}

/// `GET /login`
pub async fn login_page(
    auth: AuthSession<Accounts>,
    session: Session,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Problem> {
    let next = local(&next);
    if auth.user().await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let login = LoginPage {
        csrf: csrf::token(&session).await?,
        next: next.to_owned(),
        name: String::new(),
        problem: None,
    };
    page(StatusCode::OK, &login)
}

/// `POST /login`
pub async fn log_in(
    State(chat): State<Arc<Chat>>,
    Client(address): Client,
    auth: AuthSession<Accounts>,
    session: Session,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    csrf::check(&session, &typed.csrf).await?;
    let again = |problem: String| LoginPage {
        csrf: typed.csrf.clone(),
        next: local(&typed.next).to_owned(),
        name: typed.name.clone(),
        problem: Some(problem),
    };
    if let Verdict::Wait { seconds } = chat.attempts.note(&typed.name, address, now()).await? {
        return too_often(seconds, &again(wait(seconds)));
    }
    let credentials = Credentials {
        name: typed.name.clone(),
        password: typed.password,
    };
    let Some(account) = auth.authenticate(credentials).await? else {
        let login = again("The name or the password is wrong.".to_owned());
        return page(StatusCode::BAD_REQUEST, &login);
    };
    chat.attempts.forget(&typed.name, address).await?;
    csrf::renew(&session).await?;
    auth.log_in(&account).await?;
    Ok(Redirect::to(local(&typed.next)).into_response())
}

/// `GET /signup`
pub async fn signup_page(
    auth: AuthSession<Accounts>,
    session: Session,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Problem> {
    let next = local(&next);
    if auth.user().await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let signup = SignupPage {
        csrf: csrf::token(&session).await?,
        next: next.to_owned(),
        name: String::new(),
        problem: None,
    };
    page(StatusCode::OK, &signup)
}

/// `POST /signup`
pub async fn sign_up(
    State(chat): State<Arc<Chat>>,
    Client(address): Client,
    auth: AuthSession<Accounts>,
    session: Session,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    csrf::check(&session, &typed.csrf).await?;
    // Hashing is dear: who signs up again and again waits like one who guesses passwords.
    let verdict = chat.attempts.note(&typed.name, address, now()).await?;
    let outcome = match verdict {
        Verdict::Try => {
            let credentials = Credentials {
                name: typed.name.clone(),
                password: typed.password,
            };
            chat.accounts.sign_up(credentials).await?
        }
        Verdict::Wait { seconds } => {
            let signup = SignupPage {
                csrf: typed.csrf,
                next: local(&typed.next).to_owned(),
                name: typed.name,
                problem: Some(wait(seconds)),
            };
            return too_often(seconds, &signup);
        }
    };
    match outcome {
        SignUp::Done(account) => {
            csrf::renew(&session).await?;
            auth.log_in(&account).await?;
            Ok(Redirect::to(local(&typed.next)).into_response())
        }
        SignUp::Refused(problem) => {
            let signup = SignupPage {
                csrf: typed.csrf,
                next: local(&typed.next).to_owned(),
                name: typed.name,
                problem: Some(problem.to_owned()),
            };
            page(StatusCode::BAD_REQUEST, &signup)
        }
    }
}

fn wait(seconds: i64) -> String {
    let minutes = (seconds + 59) / 60;
    format!("Too many attempts. Try again in {minutes} min.")
}

fn too_often(seconds: i64, again: &impl Template) -> Result<Response, Problem> {
    let mut reply = page(StatusCode::TOO_MANY_REQUESTS, again)?;
    let headers = reply.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    Ok(reply)
}

/// `POST /logout`
pub async fn log_out(
    auth: AuthSession<Accounts>,
    session: Session,
    Form(Goodbye { csrf }): Form<Goodbye>,
) -> Result<Response, Problem> {
    csrf::check(&session, &csrf).await?;
    auth.log_out().await?;
    Ok(Redirect::to("/login").into_response())
}
