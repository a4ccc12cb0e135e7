//! What a page has been sent of its room, and what it still lacks.

use crate::{
    accounts::Account,
    chat::Chat,
    events::ChatEvent,
    messages::Page,
    order::{Step, step},
    reply::Reply,
    rooms::Room,
};
use seaway::{
    Context, Error, FromScope, Json, Reject, Result, Scope, Shared, User, http::StatusCode,
    protocol::WebSocket,
};
use std::sync::Arc;

/// What a page has been sent of its room.
pub struct Feed {
    pub room: Room,
    chat: Arc<Chat>,
    you: i64,
    /// The page has all messages up to this id.
    sent: i64,
    /// The version of the list of people that the page has.
    people: i64,
}

/// The room is that of the path; where there is none, there is no socket.
impl FromScope<WebSocket> for Feed {
    async fn from_scope(scope: &Scope<WebSocket>) -> Result<Self, Reject> {
        let User(user): User<Account> = User::from_scope(scope).await?;
        let chat = scope.get::<Arc<Chat>>()?.clone();
        let slug: String = scope.path("slug")?;
        let room = chat.rooms.find(&slug).await.map_err(Error::user)?;
        Ok(Self {
            room: room.ok_or(StatusCode::NOT_FOUND)?,
            chat,
            you: user.id,
            sent: 0,
            people: 0,
        })
    }
}

impl Feed {
    /// Greets a page: with what came after this id, or else, or if that is too much, with the newest messages.
    pub async fn welcome(&mut self, ctx: &Context<ChatEvent>, since: Option<i64>) -> Result<()> {
        let (page, reset) = match self.missed(since).await? {
            Some(page) => (page, false),
            None => {
                let newest = self.chat.messages.newest(&self.room).await;
                (newest.map_err(Error::user)?, since.is_some())
            }
        };
        let before = since.filter(|_| !reset).unwrap_or(0);
        self.sent = page.messages.last().map_or(before, |message| message.id);
        let people = self.chat.presence.people(&self.room).await;
        let people = people.map_err(Error::user)?;
        self.people = people.version;
        ctx.send(Json(Reply::Welcome {
            you: self.you,
            messages: page.messages,
            more: page.more,
            reset,
            people: people.people,
        }))
        .await
    }

    /// Passes on what everyone here is told, in its order and once.
    pub async fn pass_on(
        &mut self,
        ctx: &Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        match &*event {
            ChatEvent::Message(said) => match step(self.sent, said.previous, said.message.id) {
                Step::Known => return Ok(()),
                Step::Gap => return self.catch_up(ctx).await,
                Step::Next => self.sent = said.message.id,
            },
            // From two processes an older list may come after a newer one.
            ChatEvent::People(people) if people.version <= self.people => return Ok(()),
            ChatEvent::People(people) => self.people = people.version,
            ChatEvent::Typing { .. } => {}
            ChatEvent::CaughtUp => return self.look(ctx).await.map(drop),
        }
        ctx.send(Json(event)).await
    }

    /// Looks into the database, and sends all that the page lacks. Whether this tab is among those that are here.
    pub async fn look(&mut self, ctx: &Context<ChatEvent>) -> Result<bool> {
        let channel = ctx.channel().as_str();
        let glance = self.chat.glances.take(&self.room, channel).await;
        let glance = glance.map_err(Error::user)?;
        if glance.newest > self.sent {
            self.catch_up(ctx).await?;
        }
        if glance.people > self.people {
            let people = self.chat.presence.people(&self.room).await;
            let people = people.map_err(Error::user)?;
            self.people = people.version;
            ctx.send(Json(Reply::People(people))).await?;
        }
        Ok(glance.is_listed)
    }

    async fn catch_up(&mut self, ctx: &Context<ChatEvent>) -> Result<()> {
        let Some(page) = self.missed(Some(self.sent)).await? else {
            return self.welcome(ctx, Some(self.sent)).await;
        };
        for message in page.messages {
            self.sent = message.id;
            ctx.send(Json(Reply::Message(message))).await?;
        }
        Ok(())
    }

    /// What came after this id, unless that is too much.
    async fn missed(&self, since: Option<i64>) -> Result<Option<Page>> {
        let Some(since) = since else {
            return Ok(None);
        };
        let messages = self.chat.messages.since(&self.room, since).await;
        let messages = messages.map_err(Error::user)?;
        Ok(messages.map(|messages| Page {
            messages,
            more: false,
        }))
    }
}
