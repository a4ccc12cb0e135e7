"""Sends each line of JSON from stdin to a group."""

import asyncio
import json
import sys

from layer import GROUP, layer


async def main():
    channels = layer()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await channels.group_send(GROUP, json.loads(line))


asyncio.run(main())
