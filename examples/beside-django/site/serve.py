"""Serves the site on the port in its argument or a free one, and prints the address. It runs until
its standard input ends: so it ends with the program that has started it."""

import asyncio
import os
import socket
import sys
import threading

import uvicorn


def end_with_input():
    sys.stdin.read()
    os._exit(0)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
listener = socket.create_server(("127.0.0.1", port))
config = uvicorn.Config("asgi:application", lifespan="off", log_level="warning")
config.load()
print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
