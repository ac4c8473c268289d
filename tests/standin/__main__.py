#!/usr/bin/env python3
"""Runs the stand-in model provider: python3 tests/standin [--port PORT] [--host HOST]

Port 0 takes a free one. The first line on standard output is "listening on HOST:PORT".
"""

import argparse
import asyncio
import signal

import standin_app
import standin_http


async def run(host: str, port: int) -> None:
    app = standin_app.StandIn()
    server = await standin_http.listen(host, port, app.handle)
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    address = server.sockets[0].getsockname()
    print(f"listening on {address[0]}:{address[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
