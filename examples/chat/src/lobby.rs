//! One tab in which somebody looks at the list of rooms.

use crate::{accounts::Account, events::RoomsEvent};
use seaway::{Context, Group, Json, Result, Shared, WebSocketConsumer, consumer};

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
}
