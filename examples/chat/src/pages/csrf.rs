//! Forms come from our own pages: each carries a token that only they can know.

use super::problem::Problem;
use seaway::session::{Expiry, Id, Session, time::Duration};
use subtle::ConstantTimeEq;

/// Where the token is in a session.
const KEY: &str = "csrf";

/// How long the session of somebody who only looks at the log-in is kept. Whoever logs in gets a longer one; robots
/// that load the page again and again without its cookie leave that many sessions behind.
const STRANGERS: Duration = Duration::days(1);

/// The session's token for a form.
pub async fn token(session: &Session) -> Result<String, Problem> {
    if let Some(token) = session.get(KEY).await? {
        return Ok(token);
    }
    if session.is_empty().await {
        session.set_expiry(Some(Expiry::OnInactivity(STRANGERS)));
    }
    // 128 bits of chance, as a session's own id has.
    let token = Id::default().to_string();
    session.insert(KEY, &token).await?;
    Ok(token)
}

/// Whether a form has the session's token.
pub async fn check(session: &Session, sent: &str) -> Result<(), Problem> {
    let token: Option<String> = session.get(KEY).await?;
    // The time that it takes tells nobody how much of a guess was right.
    let is_ours = token.is_some_and(|token| token.as_bytes().ct_eq(sent.as_bytes()).into());
    match is_ours {
        true => Ok(()),
        false => Err(Problem::foreign_form()),
    }
}

/// After a log-in the pages before it have the wrong token: somebody else may have loaded them.
pub async fn renew(session: &Session) -> Result<(), Problem> {
    session.remove::<String>(KEY).await?;
    Ok(())
}
