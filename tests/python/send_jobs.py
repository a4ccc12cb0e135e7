"""Sends each line of JSON from stdin to a worker's channel.

Waits while the channel is full; with the argument "once", prints the number of the job instead.
"""

import asyncio
import json
import sys

from channels.exceptions import ChannelFull

from layer import GROUP as CHANNEL, layer, say


async def send(channels, job):
    while True:
        try:
            return await channels.send(CHANNEL, job)
        except ChannelFull:
            if "once" in sys.argv:
                return say({"full": job["number"]})
            await asyncio.sleep(0.001)


async def main():
    channels = layer()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await send(channels, json.loads(line))


asyncio.run(main())
