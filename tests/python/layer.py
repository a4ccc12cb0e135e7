"""The channel layer that the other scripts share: channels_redis' pub/sub layer on the given Redis."""

import json
import sys

from channels_redis.pubsub import RedisPubSubChannelLayer

REDIS = f"redis://127.0.0.1:{sys.argv[1]}"
GROUP = sys.argv[2]


def layer():
    return RedisPubSubChannelLayer(hosts=[REDIS])


def say(value):
    """Prints a line of JSON for the test."""
    print(json.dumps(value), flush=True)
