"""Joins a group with a new channel and prints each message that arrives."""

import asyncio

from layer import GROUP, layer, say


async def main():
    channels = layer()
    channel = await channels.new_channel()
    await channels.group_add(GROUP, channel)
    say({"listening": GROUP})
    while True:
        say(await channels.receive(channel))


asyncio.run(main())
