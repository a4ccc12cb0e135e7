"""`manage.py announce lobby hello`: announces something in a room, from outside any request."""

from django.core.management.base import BaseCommand

from chat.models import Announcement


class Command(BaseCommand):
    help = "Announces something in a room."

    def add_arguments(self, parser):
        parser.add_argument("room")
        parser.add_argument("text")

    def handle(self, *, room, text, **_):
        Announcement.objects.create(room=room, text=text).send()
