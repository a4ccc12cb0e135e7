"""The channel layer that the other scripts share: one of channels_redis on the given Redis."""

import json
import sys

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

REDIS = f"redis://127.0.0.1:{sys.argv[1]}"
GROUP = sys.argv[2]
CONFIG = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}


def layer():
    config = dict(CONFIG)
    # The default timeout of redis-py 8 is that of BZPOPMIN: every idle receiver would fail.
    urls = [REDIS, *config.pop("more_hosts", [])]
    hosts = [{"address": url, "socket_timeout": None} for url in urls]
    match config.pop("layer", "pubsub"):
        case "core":
            return RedisChannelLayer(hosts=hosts, **config)
        case _:
            return RedisPubSubChannelLayer(hosts=hosts, **config)


def say(value):
    """Prints a line of JSON for the test."""
    print(json.dumps(value), flush=True)
