//! One tab in one room.

use crate::{
    accounts::Account,
    chat::Chat,
    database::now,
    events::{ChatEvent, Reply},
    feed::Feed,
    messages::Stored,
};
use seaway::{
    Close, Context, Error, ErrorKind, Group, Json, Missed, Result, Shared, WebSocketConsumer,
    consumer,
};
use std::{borrow::Cow, sync::Arc};

/// The shortest time between two words that somebody is typing; a page sends them every 3 s.
const TYPING_MS: i64 = 1_000;

/// One tab in one room.
#[derive(WebSocketConsumer)]
pub struct Visitor {
    #[state]
    chat: Arc<Chat>,
    #[user]
    user: Account,
    feed: Feed,
    /// The last id that the page has, as it comes back after its connection was lost.
    #[query]
    since: Option<i64>,
    #[group("chat.{slug}")]
    members: Group<ChatEvent>,
    /// This tab among those that are here.
    #[default]
    channel: String,
    /// When somebody typed here last.
    #[default]
    typed_at: i64,
}

#[consumer]
impl Visitor {
    async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        self.channel = ctx.channel().to_string();
        self.enter().await?;
        self.feed.welcome(ctx, self.since).await
    }

    #[on_message("say")]
    async fn say(&mut self, ctx: &mut Context<ChatEvent>, key: String, text: String) -> Result<()> {
        match self.store(&key, &text).await {
            Ok(Stored::New(message)) => {
                let id = message.id;
                if !self.chat.news.said(&self.feed.room, message).await {
                    ctx.send(Json(Reply::Stored { key, id })).await?;
                }
                Ok(())
            }
            // The page says it again because it has not heard the answer. What came before goes first: a page asks for
            // nothing below the newest id that it has.
            Ok(Stored::Known(message)) => {
                self.feed.catch_up(ctx).await?;
                ctx.send(Json(ChatEvent::Message(message))).await
            }
            Ok(Stored::Elsewhere) => refuse(ctx, key, "this was said in another room".into()).await,
            Err(reason) => refuse(ctx, key, reason).await,
        }
    }

    #[on_message("typing")]
    async fn typing(&mut self) -> Result<()> {
        let now = now();
        if (0..TYPING_MS).contains(&(now - self.typed_at)) {
            return Ok(());
        }
        self.typed_at = now;
        let Account { id: user, name } = self.user.clone();
        self.members.send(&ChatEvent::Typing { user, name }).await
    }

    #[on_message("seen")]
    async fn seen(&mut self, id: i64) -> Result<()> {
        let Self {
            chat, user, feed, ..
        } = self;
        // The page tells of the next message that it sees; that will say what this one would have.
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

    /// Whatever was or was not heard, the database knows.
    #[every(seconds = 5)]
    async fn look(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        match self.feed.look(ctx).await? {
            true => Ok(()),
            // Others have taken this process for dead, for it was asleep.
            false => self.enter().await,
        }
    }

    /// Events may be missing: the database has the messages.
    async fn missed(&mut self, ctx: &mut Context<ChatEvent>, _: Missed) -> Result<()> {
        self.feed.catch_up(ctx).await
    }

    /// News that was not sent is found in the database by every page that looks; anything else is a fault.
    async fn failed(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Layer | ErrorKind::Unconfirmed => Ok(()),
            _ => Err(error),
        }
    }

    async fn disconnect(self, _: Close) {
        let room = &self.feed.room;
        let left = self.chat.presence.leave(room, &self.user, &self.channel);
        match left.await {
            Ok(Some(people)) => self.chat.news.people(room, people).await,
            Ok(None) => {}
            // At the latest it goes with this process.
            Err(error) => tracing::warn!(%error, "a tab that was closed is still listed"),
        }
    }

    /// Puts this tab among those that are here.
    async fn enter(&self) -> Result<()> {
        let room = &self.feed.room;
        let entered = self.chat.presence.enter(room, &self.user, &self.channel);
        if let Some(people) = entered.await? {
            self.chat.news.people(room, people).await;
        }
        Ok(())
    }

    /// Stores what is said, or says why not.
    async fn store(&self, key: &str, text: &str) -> Result<Stored, Cow<'static, str>> {
        if !(1..=64).contains(&key.chars().count()) {
            return Err("a key has 1 to 64 characters".into());
        }
        // A text has lines, and else nothing that steers a screen.
        let steers = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
        let text: String = text.chars().filter(|letter| !steers(letter)).collect();
        if text.trim().is_empty() || text.chars().count() > 2_000 {
            return Err("a message has 1 to 2,000 characters".into());
        }
        let Self {
            chat, user, feed, ..
        } = self;
        if let Err(wait) = chat.limits.messages.take(user) {
            return Err(format!("too many messages, try again in {wait}").into());
        }
        let stored = chat.messages.store(&feed.room, user, key, &text).await;
        stored.map_err(|error| {
            tracing::error!(%error, "a message was not stored");
            "the server cannot store messages just now".into()
        })
    }
}

async fn refuse(ctx: &Context<ChatEvent>, key: String, reason: Cow<'static, str>) -> Result<()> {
    ctx.send(Json(Reply::Refused { key, reason })).await
}
