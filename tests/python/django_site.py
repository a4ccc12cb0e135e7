"""The Django site of `examples/beside-django`, controlled with lines of JSON.

Each line is a call of a function below, `{"call": "log_in", "with": ["ana"]}`; the answer is what it
returns. The arguments of the script are the port of a Redis and settings to change.
"""

import asyncio
import json
import os
import sqlite3
import sys
import threading
import time
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from unittest import mock

HERE = Path(__file__).parent
REDIS = f"redis://127.0.0.1:{sys.argv[1]}"
PASSWORD = "open sesame"

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
os.environ["REDIS_URL"] = REDIS
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "examples/beside-django/site")]

import settings  # noqa: E402

# The default takes a second for each password.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
for name, value in json.loads(sys.argv[2]).items():
    setattr(settings, name, value)

import django  # noqa: E402
import pymysql  # noqa: E402

pymysql.install_as_MySQLdb()
django.setup()

import channels.auth  # noqa: E402
from django.conf import settings as in_use  # noqa: E402
from django.contrib.auth import (  # noqa: E402
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import Group, Permission  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.crypto import get_random_string  # noqa: E402


def client(cookie=None):
    """Returns a browser with this session cookie."""
    browser = Client(SERVER_NAME="localhost")
    if cookie:
        browser.cookies[in_use.SESSION_COOKIE_NAME] = cookie
    return browser


def cookie_of(browser):
    return browser.cookies[in_use.SESSION_COOKIE_NAME].value


def user(name):
    return get_user_model().objects.get_by_natural_key(name)


def session(cookie):
    engine = import_module(in_use.SESSION_ENGINE)
    return engine.SessionStore(cookie)


def begin(engine):
    """Begins anew with this session engine, without users and sessions."""
    in_use.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    get_user_model()._base_manager.all().delete()
    Session.objects.all().delete()
    cache.clear()


def sign_up(name, **fields):
    """Creates a user; returns the primary key."""
    key = get_user_model().USERNAME_FIELD
    made = get_user_model().objects.create_user(**{key: name}, password=PASSWORD, **fields)
    return str(made.pk)


def log_in(name, password=PASSWORD):
    """Logs in on the page; returns the session cookie."""
    browser = client()
    page = browser.post("/accounts/login/", {"username": name, "password": password})
    assert page.status_code == 302, page.content
    return cookie_of(browser)


def log_out(cookie):
    """Logs out on the page."""
    page = client(cookie).post("/accounts/logout/")
    assert page.status_code == 302, page.content


def log_out_in_channels(cookie):
    """Logs out as a consumer of Channels does."""

    async def log_out():
        scope = {"session": session(cookie)}
        scope["user"] = await channels.auth.get_user(scope)
        assert scope["user"].is_authenticated
        await channels.auth.logout(scope)

    asyncio.run(log_out())


def knows(cookie):
    """Returns the user whom a page knows."""
    return sees(f"{in_use.SESSION_COOKIE_NAME}={cookie}")


def sees(header):
    """Returns the user whom a page knows by this `Cookie` header."""
    request = client().get("/", HTTP_COOKIE=header).wsgi_request
    return request.user.get_username() or None


def change_password(cookie, new):
    """Changes the password on the page; returns the session cookie."""
    browser = client(cookie)
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    page = browser.post("/accounts/password_change/", fields)
    assert page.status_code == 302, page.content
    return cookie_of(browser)


def reset_password(name, new):
    """Sets the password as an administrator does."""
    changed = user(name)
    changed.set_password(new)
    changed.save()


def change(name, **fields):
    """Changes fields of a user."""
    changed = user(name)
    for field, value in fields.items():
        setattr(changed, field, value)
    changed.save()


def deactivate(name):
    change(name, is_active=False)


def delete_user(name):
    user(name).delete()


def flush(cookie):
    session(cookie).flush()


def expire(cookie, seconds):
    """Lets a session expire this many seconds from now; returns its cookie."""
    store = session(cookie)
    if in_use.SESSION_ENGINE.endswith("signed_cookies"):
        store.load()
        store.modified = True
        signed = time.time() - in_use.SESSION_COOKIE_AGE + seconds
        with mock.patch("time.time", lambda: signed):
            store.save()
        return store.session_key
    if hasattr(store, "cache_key"):
        cache.touch(store.cache_key, seconds)
    if hasattr(store, "model"):
        row = store.model.objects.get(session_key=cookie)
        row.expire_date = timezone.now() + timedelta(seconds=seconds)
        row.save()
    return cookie


def put(cookie, key, value):
    """Stores a value in a session; returns its cookie."""
    changed = session(cookie)
    changed[key] = value
    changed.save()
    return changed.session_key


def value(cookie, key):
    return session(cookie).get(key)


def announce(cookie, room, text):
    """Announces something with the form of a room; returns the status."""
    return client(cookie).post(f"/rooms/{room}/announce", {"text": text}).status_code


def announce_in_admin(cookie, room, text):
    fields = {"room": room, "text": text}
    return client(cookie).post("/admin/chat/announcement/add/", fields).status_code


def command(*words):
    call_command(*words)


def lock(seconds):
    """Locks the database against readers, too."""
    database = in_use.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        locking = sqlite3.connect(database["NAME"], check_same_thread=False)
        locking.execute("BEGIN EXCLUSIVE")
    else:
        driver, name, statement = {
            "postgresql": ("psycopg", "dbname", "LOCK TABLE django_session, auth_user"),
            "mysql": ("pymysql", "database", "LOCK TABLES django_session WRITE, auth_user WRITE"),
        }[database["ENGINE"].rpartition(".")[2]]
        address = {key.lower(): database[key] for key in ("HOST", "PORT", "USER")}
        locking = import_module(driver).connect(**address, **{name: database["NAME"]})
        locking.cursor().execute(statement)

    def unlock():
        time.sleep(seconds)
        locking.rollback()
        locking.close()

    threading.Thread(target=unlock).start()


def sign_in_many(count):
    """Stores users with a session each; returns the cookies."""
    model = get_user_model()
    password = make_password(PASSWORD)
    users = (model(username=f"user{number}", password=password) for number in range(count))
    users = model.objects.bulk_create(users, batch_size=1000)
    store = session(None)
    expiry = store.get_expiry_date()
    rows = []
    for one in users:
        log_in = {
            SESSION_KEY: str(one.pk),
            BACKEND_SESSION_KEY: in_use.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: one.get_session_auth_hash(),
        }
        key = get_random_string(32, "abcdefghijklmnopqrstuvwxyz0123456789")
        row = {"session_key": key, "session_data": store.encode(log_in), "expire_date": expiry}
        rows.append(store.model(**row))
    store.model.objects.bulk_create(rows, batch_size=1000)
    return [row.session_key for row in rows]


def transactions():
    """Returns the number of transactions in this database of PostgreSQL so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        return cursor.fetchone()[0]


def rotate_key(key, fallbacks):
    in_use.SECRET_KEY = key
    in_use.SECRET_KEY_FALLBACKS = fallbacks


def grant(name, permissions, group_permissions):
    """Gives permissions of `auth` to a user and to a group of the user."""
    find = Permission.objects.filter(content_type__app_label="auth")
    user(name).user_permissions.set(find.filter(codename__in=permissions))
    group, _ = Group.objects.get_or_create(name=f"group of {name}")
    group.permissions.set(find.filter(codename__in=group_permissions))
    user(name).groups.set([group])


def groups(name):
    return sorted(group.name for group in user(name).groups.all())


def has_perms(name, permissions):
    return [permission for permission in permissions if user(name).has_perm(permission)]


call_command("migrate", verbosity=0)
print(json.dumps("migrated"), flush=True)
while line := sys.stdin.readline():
    call = json.loads(line)
    returned = globals()[call["call"]](*call.get("with", []), **call.get("fields", {}))
    print(json.dumps(returned), flush=True)
