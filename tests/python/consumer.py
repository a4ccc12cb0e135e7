"""A consumer as in the tutorial of Channels, with one client.

Prints what the client receives; sends each line of JSON from stdin as that client.
"""

import asyncio
import json
import sys

from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from layer import GROUP, REDIS, say

settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS]},
        }
    }
)

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402

# A timeout would cancel the consumer too: the test's own deadline ends the wait.
FOREVER = 3600


class Room(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def receive(self, text_data):
        await self.channel_layer.group_send(GROUP, {"type": "room.message", "text": text_data})

    async def room_message(self, event):
        await self.send(text_data=event["text"])


async def main():
    client = ApplicationCommunicator(Room.as_asgi(), {"type": "websocket", "path": "/"})
    await client.send_input({"type": "websocket.connect"})
    accepted = await client.receive_output(FOREVER)
    say({"connected": accepted["type"] == "websocket.accept"})

    async def listen():
        while True:
            say({"received": (await client.receive_output(FOREVER))["text"]})

    async def speak():
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            text = json.loads(line)["send"]
            await client.send_input({"type": "websocket.receive", "text": text})

    await asyncio.gather(listen(), speak())


asyncio.run(main())
