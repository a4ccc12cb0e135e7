"""A channel layer that does what each line of JSON from stdin says, and prints what it receives.

Arguments: the port of Redis, any group, and the configuration of the layer in JSON, with the layer
(`pubsub` or `core`) in `layer` and the URLs of further hosts in `more_hosts`.
"""

import asyncio
import json
import sys

from layer import layer, say


async def main():
    channels = layer()
    tasks = []

    async def listen(channel):
        while True:
            say({"channel": channel, "message": await channels.receive(channel)})

    async def do(order):
        match order:
            case {"do": "open"}:
                channel = await channels.new_channel()
                tasks.append(asyncio.create_task(listen(channel)))
                say({"opened": channel})
            case {"do": "listen", "channel": channel}:
                tasks.append(asyncio.create_task(listen(channel)))
            case {"do": "join", "group": group, "channel": channel}:
                await channels.group_add(group, channel)
                say({"joined": group})
            case {"do": "leave", "group": group, "channel": channel}:
                await channels.group_discard(group, channel)
                say({"left": group})
            case {"do": "send", "channel": channel, "message": message}:
                try:
                    await channels.send(channel, message)
                except Exception as error:
                    say({"error": type(error).__name__})
            case {"do": "group_send", "group": group, "message": message}:
                await channels.group_send(group, message)

    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await do(json.loads(line))


asyncio.run(main())
