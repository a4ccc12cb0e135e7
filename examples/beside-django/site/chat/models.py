"""The announcements that are shown in a room."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import models


class Announcement(models.Model):
    room = models.SlugField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    text = models.CharField(max_length=200)
    attachment = models.FileField(upload_to="announcements", blank=True)
    made = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"{self.room}: {self.text}"

    def send(self):
        """Sends it to the sockets of the room, in Python and in Seaway."""
        if layer := get_channel_layer():
            author = self.author.get_username() if self.author else "announcement"
            event = {"type": "chat.message", "author": author, "text": self.text}
            async_to_sync(layer.group_send)(f"chat_{self.room}", event)
