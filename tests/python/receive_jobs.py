"""Takes jobs from a worker's channel and prints each."""

import asyncio

from layer import GROUP as CHANNEL, layer, say


async def main():
    channels = layer()
    say({"receiving": CHANNEL})
    while True:
        say(await channels.receive(CHANNEL))


asyncio.run(main())
