"""Closes the WebSockets of a session at once when its user logs out."""

import asyncio
import hashlib
import logging
import re

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def user_group(user):
    name = f"seaway.user.{user.pk}"
    # Not each primary key fits into the name of a group.
    is_name = re.fullmatch(r"[A-Za-z0-9._-]{1,99}", name)
    return name if is_name else "seaway.sha256." + digest(f"user.{user.pk}")


def groups_to_close(request, user):
    groups = []
    if request:
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        # The name of a group is not secret, as the cookie is.
        groups.append("seaway.session." + digest(cookie))
    # The logout of Channels has no request, so the cookie is not known. With signed cookies,
    # sockets may have been opened with those from before the session was last saved.
    if user and (not request or settings.SESSION_ENGINE.endswith("signed_cookies")):
        groups.append(user_group(user))
    return groups


@receiver(user_logged_out)
def close_sockets(request, user, **_):
    event = {"type": "seaway.disconnect", "code": 4401, "reason": "logged out"}
    try:
        if layer := get_channel_layer():
            for group in groups_to_close(request, user):
                async_to_sync(asyncio.wait_for)(layer.group_send(group, event), timeout=2)
    except Exception:
        # The logout continues; what it ends is closed by the next recheck.
        logging.getLogger(__name__).exception("cannot close the sockets of a session")
