//! The consumer of a tab with an open room.

use crate::{
    accounts::Account,
    chat::Chat,
    database::now,
    events::{ChatEvent, Said},
    feed::Feed,
    messages::Stored,
    names::is_blank,
};
use seaway::{
    Context, Error, ErrorKind, Group, Json, Missed, Presence, Result, Shared, WebSocketConsumer,
    consumer,
};
use std::{borrow::Cow, sync::Arc};

/// The minimum interval of a user's "typing" events; a page sends one every 3 s.
const TYPING_MS: i64 = 1_000;

/// A tab with an open room.
#[derive(WebSocketConsumer)]
pub struct Visitor {
    #[state]
    chat: Arc<Chat>,
    #[user]
    user: Account,
    feed: Feed,
    #[group("chat.{slug}")]
    members: Group<ChatEvent>,
    #[presence("chat.{slug}", key = user, meta = user.name.clone())]
    here: Presence<String>,
    /// The time of the last "typing" event.
    #[default]
    typed_at: i64,
}

#[consumer]
impl Visitor {
    /// `since` is the last id that the page has, when it reconnects.
    #[on_message("enter")]
    async fn enter(&mut self, ctx: &mut Context<ChatEvent>, since: Option<i64>) -> Result<()> {
        self.feed.enter(ctx, since).await
    }

    /// Stores a message under a key of the page, which repeats it until it has this reply. An error
    /// is the reason for a rejection.
    #[on_message("say", reply)]
    async fn say(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        key: String,
        text: String,
    ) -> Result<Result<Said, Cow<'static, str>>> {
        Ok(match self.store(&key, &text).await {
            Ok(Stored::New(message)) => {
                let id = message.id;
                let told = self.chat.news.said(&self.feed.room, message).await;
                Ok(Said { id, told })
            }
            // The page repeats the message because it missed the reply. Earlier messages go first:
            // a page never requests any below the newest id that it has.
            Ok(Stored::Known(message)) => {
                let id = message.id;
                self.feed.catch_up(ctx).await?;
                ctx.send(Json(ChatEvent::Message(message))).await?;
                Ok(Said { id, told: true })
            }
            Ok(Stored::Elsewhere) => Err("this was said in another room".into()),
            Err(reason) => Err(reason),
        })
    }

    #[on_message("typing")]
    async fn typing(&mut self) -> Result<()> {
        let now = now();
        if (0..TYPING_MS).contains(&(now - self.typed_at)) {
            return Ok(());
        }
        self.typed_at = now;
        let Account { id: user, name } = self.user.clone();
        Ok(self.members.send(&ChatEvent::Typing { user, name }).await?)
    }

    #[on_message("seen")]
    async fn seen(&mut self, id: i64) -> Result<()> {
        let Self {
            chat, user, feed, ..
        } = self;
        // The page reports the next message that it shows, which includes this one.
        if chat.limits.seen.take(user).is_err() {
            return Ok(());
        }
        match chat.rooms.mark_seen(user, &feed.room, id).await? {
            Some(newest) => chat.news.seen(user, &feed.room, newest).await,
            None => Ok(()),
        }
    }

    async fn event(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        self.feed.pass_on(ctx, event).await
    }

    /// Reads from the database what the page lacks, whichever events arrived.
    #[every(seconds = 5)]
    async fn look(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        self.feed.catch_up(ctx).await
    }

    /// Reads missed messages from the database, and gets the whole list of people again.
    async fn missed(&mut self, ctx: &mut Context<ChatEvent>, _: Missed) -> Result<()> {
        let Account { id, name } = self.user.clone();
        self.here = ctx.present(self.here.name().as_str(), id, name).await?;
        self.feed.catch_up(ctx).await
    }

    /// Ignores failed publishes, as every page also polls the database; other errors close the
    /// connection.
    async fn failed(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Layer | ErrorKind::Unconfirmed => Ok(()),
            _ => Err(error.into()),
        }
    }

    /// Stores a message, or returns the reason for a rejection.
    async fn store(&self, key: &str, text: &str) -> Result<Stored, Cow<'static, str>> {
        if !(1..=64).contains(&key.chars().count()) {
            return Err("a key has 1 to 64 characters".into());
        }
        let text = checked_text(text)?;
        let Self {
            chat, user, feed, ..
        } = self;
        if let Err(wait) = chat.limits.messages.take(user) {
            return Err(format!("too many messages, try again in {wait}").into());
        }
        let stored = chat.messages.store(&feed.room, user, key, &text).await;
        stored.map_err(|error| {
            tracing::error!(%error, "cannot store a message");
            "the server cannot store messages just now".into()
        })
    }
}

/// Returns a text as it is stored, or the reason for a rejection.
fn checked_text(text: &str) -> Result<String, &'static str> {
    // A text may have line feeds and tabs, but no other control characters.
    let steers = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
    let text: String = text.chars().filter(|letter| !steers(letter)).collect();
    if text.chars().count() > 2_000 {
        return Err("a message has 1 to 2,000 characters");
    }
    if is_blank(&text) {
        return Err("a message has characters that can be seen");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_up_to_two_thousand_characters_of_which_some_are_drawn() {
        let (longest, too_long) = ("ø".repeat(2_000), "ø".repeat(2_001));
        for (text, stored) in [
            ("hello\n\tyou", Some("hello\n\tyou")),
            ("he\u{7}llo", Some("hello")),
            ("👩\u{200d}🚀", Some("👩\u{200d}🚀")),
            (longest.as_str(), Some(longest.as_str())),
            (too_long.as_str(), None),
            ("", None),
            (" \n\t", None),
            ("\u{200b}\u{2060}", None),
            ("\u{3164} \u{202e}", None),
            ("\u{2800}", None),
            ("\u{7}", None),
        ] {
            assert_eq!(checked_text(text).ok().as_deref(), stored, "{text:?}");
        }
    }
}
