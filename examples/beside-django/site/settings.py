"""The settings of the Django site. Those that Seaway needs to know are marked."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]  # AllowedOrigins::django
ROOT_URLCONF = "urls"
ASGI_APPLICATION = "asgi.application"
USE_TZ = True  # Seaway compares the expiry of sessions in UTC.

SECRET_KEY = os.environ.get("SECRET_KEY", "only for this example, and known to all")  # SecretKeys
_FALLBACKS = os.environ.get("SECRET_KEY_FALLBACKS", "")
SECRET_KEY_FALLBACKS = [key for key in _FALLBACKS.split(",") if key]  # SecretKeys::fallback
_ENGINE = os.environ.get("SESSION_ENGINE", "db")
SESSION_ENGINE = f"django.contrib.sessions.backends.{_ENGINE}"  # DjangoSessions
SESSION_COOKIE_NAME = "sessionid"  # DjangoAuth::cookie_name
AUTH_USER_MODEL = "auth.User"  # UserTable

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "chat",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {  # DjangoDatabase
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_FILE", BASE_DIR.parent / "db.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = Path(DATABASES["default"]["NAME"]).parent / "media"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

if redis := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {  # Channels::redis
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis]},
        }
    }
    CACHES = {  # DjangoCache
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis}
    }
