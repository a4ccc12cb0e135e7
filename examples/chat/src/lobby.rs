//! The consumer of a tab that shows the list of rooms.

use crate::{accounts::Account, events::RoomsEvent};
use seaway::{Context, Group, Json, Missed, Result, Shared, WebSocketConsumer, consumer};

/// A tab that shows the list of rooms. It receives events, and sends nothing but probes.
#[derive(WebSocketConsumer)]
pub struct Onlooker {
    #[user]
    _user: Account,
    #[group("rooms")]
    _all: Group<RoomsEvent>,
    #[group("rooms.of.{_user}")]
    _own: Group<RoomsEvent>,
}

#[consumer]
impl Onlooker {
    /// The probe by which the page notices a half-open connection.
    #[on_message("ping", reply)]
    async fn ping(&mut self) -> Result<()> {
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomsEvent>,
        event: Shared<RoomsEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    /// Makes the page fetch the list again, as events may be missing.
    async fn missed(&mut self, ctx: &mut Context<RoomsEvent>, _: Missed) -> Result<()> {
        Ok(ctx.send(Json(RoomsEvent::Changed)).await?)
    }
}
