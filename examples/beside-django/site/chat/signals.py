"""Closes the WebSockets of a session at once when its user logs out."""

import hashlib
import logging

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver


@receiver(user_logged_out)
def close_sockets(request, **_):
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    # The name of a group is not secret, as the cookie is.
    group = "seaway.session." + hashlib.sha256(cookie.encode()).hexdigest()[:32]
    try:
        if layer := get_channel_layer():
            event = {"type": "seaway.disconnect", "code": 4401, "reason": "logged out"}
            async_to_sync(layer.group_send)(group, event)
    except OSError:
        # The next re-check closes them.
        logging.getLogger(__name__).exception("cannot close the sockets of a session")
