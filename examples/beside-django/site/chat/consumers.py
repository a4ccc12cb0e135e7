"""The chat as a consumer of Channels. `src/main.rs` has the same in Rust."""

from channels.generic.websocket import AsyncJsonWebsocketConsumer


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.user = self.scope["user"]
        if not self.user.is_authenticated:
            await self.close()
            return
        self.room = "chat_" + self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        if hasattr(self, "room"):
            await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, said):
        author = self.user.get_username()
        event = {"type": "chat.message", "author": author, "text": said["text"]}
        await self.channel_layer.group_send(self.room, event)

    async def chat_message(self, event):
        await self.send_json(event)
