//! One tab in which somebody looks at the list of rooms.

use crate::{accounts::Account, events::RoomsEvent};
use seaway::{Context, Group, Json, Missed, Result, Shared, WebSocketConsumer, consumer};

/// One tab in which somebody looks at the list of rooms. It only listens.
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
    async fn event(
        &mut self,
        ctx: &mut Context<RoomsEvent>,
        event: Shared<RoomsEvent>,
    ) -> Result<()> {
        ctx.send(Json(event)).await
    }

    /// Events may be missing: the page fetches the list anew.
    async fn missed(&mut self, ctx: &mut Context<RoomsEvent>, _: Missed) -> Result<()> {
        ctx.send(Json(RoomsEvent::Changed)).await
    }
}
