"""The Django Channels peer: rooms over Redis, as users of Channels write them.

The consumer follows the tutorial of Channels, but forwards the text unchanged. CHANNEL_LAYER is the
class of the channel layer and REDIS_URL its Redis; other settings are the defaults unless explained.
"""

import os

import django
from django.conf import settings

LAYER = os.environ["CHANNEL_LAYER"]

CONFIG = {
    # With redis-py 8, whose sockets time out after the 5 seconds that the core layer waits for a
    # message, consumers of a quiet server would die.
    "hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": None}],
}
if LAYER == "channels_redis.core.RedisChannelLayer":
    # The queue length of one process: at the default of 100, a process that briefly lags behind the
    # other would lose some messages, and their senders would wait for them forever.
    CONFIG["capacity"] = 10_000

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CHANNEL_LAYERS={"default": {"BACKEND": LAYER, "CONFIG": CONFIG}},
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Room(AsyncWebsocketConsumer):
    async def connect(self):
        self.group = "room." + self.scope["url_route"]["kwargs"]["name"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data):
        await self.channel_layer.group_send(
            self.group, {"type": "room.message", "text": text_data}
        )

    async def room_message(self, event):
        await self.send(text_data=event["text"])


def healthz(request):
    return HttpResponse("ok")


urlpatterns = [path("healthz", healthz)]

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/room/<str:name>", Room.as_asgi())]),
    }
)
