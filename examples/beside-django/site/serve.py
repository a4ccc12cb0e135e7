"""Serves the site on a free port, whose address it prints, until its standard input ends: so it
ends with the program that has started it."""

import asyncio
import os
import socket
import sys
import threading

import uvicorn


def end_with_input():
    sys.stdin.read()
    os._exit(0)


listener = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config("asgi:application", lifespan="off", log_level="warning")
config.load()
print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
