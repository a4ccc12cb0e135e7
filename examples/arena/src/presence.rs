//! Who is connected to a group.

use seaway::{
    Context, Handshake, Json, Presence, PresenceEvent, Rejection, Result, Shared, WebSocketConsumer,
};

/// A consumer that sends the whole list once, then each change, as JSON. A text message from the
/// client becomes the meta of its key.
pub struct Here {
    here: Presence<String>,
}

impl WebSocketConsumer for Here {
    type Input = String;
    type Event = PresenceEvent<String>;

    async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
        let group: String = handshake.param("group")?;
        let key: String = handshake.query("key")?;
        let here = handshake.present(group, key, String::new()).await?;
        Ok(Here { here })
    }

    async fn receive(&mut self, _: &mut Context<Self::Event>, meta: String) -> Result<()> {
        Ok(self.here.update(meta).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<Self::Event>,
        event: Shared<Self::Event>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}
