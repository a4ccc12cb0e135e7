//! One tab in one room.

use crate::{
    accounts::Account,
    chat::Chat,
    database::now,
    events::{ChatEvent, Said},
    feed::Feed,
    messages::Stored,
    reply::Reply,
};
use seaway::{Close, Context, Error, Group, Json, Result, Shared, WebSocketConsumer, consumer};
use std::sync::Arc;

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
    _members: Group<ChatEvent>,
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
        if !(1..=64).contains(&key.chars().count()) {
            return refuse(ctx, key, "a key has 1 to 64 characters").await;
        }
        // A text has lines, and else nothing that steers a screen.
        let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        let text: String = text.chars().filter(|letter| !steers(*letter)).collect();
        if text.trim().is_empty() || text.chars().count() > 2_000 {
            return refuse(ctx, key, "a message has 1 to 2,000 characters").await;
        }
        let Self {
            chat, user, feed, ..
        } = self;
        let stored = chat.messages.store(&feed.room, user, &key, &text).await;
        let (message, previous) = match stored {
            Ok(Stored::New { message, previous }) => (message, previous),
            Ok(Stored::Known { message, previous }) => {
                // The page says it again because it has not heard the answer. What came before goes first: a page asks
                // for nothing below the newest id that it has.
                feed.look(ctx).await?;
                ctx.send(Json(Reply::Message(message.clone()))).await?;
                (message, previous)
            }
            Ok(Stored::Elsewhere) => {
                return refuse(ctx, key, "this was said in another room").await;
            }
            Err(error) => {
                tracing::error!(%error, "a message was not stored");
                return refuse(ctx, key, "the server cannot store messages just now").await;
            }
        };
        chat.list.forget().await;
        let id = message.id;
        if chat.news.said(&feed.room, Said { message, previous }).await {
            return Ok(());
        }
        ctx.send(Json(Reply::Stored { key, id })).await
    }

    #[on_message("typing")]
    async fn typing(&mut self) -> Result<()> {
        let now = now();
        if (0..TYPING_MS).contains(&(now - self.typed_at)) {
            return Ok(());
        }
        self.typed_at = now;
        self.chat.news.typing(&self.feed.room, &self.user).await
    }

    #[on_message("seen")]
    async fn seen(&mut self, id: i64) -> Result<()> {
        let room = &self.feed.room;
        let marked = self.chat.seen.mark(&self.user, room, id).await;
        match marked.map_err(Error::user)? {
            true => self.chat.news.seen(&self.user, room).await,
            false => Ok(()),
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
        if let Some(people) = entered.await.map_err(Error::user)? {
            self.chat.news.people(room, people).await;
        }
        Ok(())
    }
}

async fn refuse(ctx: &Context<ChatEvent>, key: String, reason: &'static str) -> Result<()> {
    ctx.send(Json(Reply::Refused { key, reason })).await
}
