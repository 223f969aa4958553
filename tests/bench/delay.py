"""A way to a node that is so many milliseconds longer, as a process of its own: prints its port, lives until killed.

What a client sends waits for the whole round trip before it is passed on, in order, each connection by itself.
"""

from __future__ import annotations

import asyncio
import sys


async def _later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def pass_on() -> None:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    passing = asyncio.create_task(pass_on())
    try:
        while piece := await reader.read(1 << 20):
            waiting.put_nowait((loop.time() + seconds, piece))
    except ConnectionError:
        pass
    waiting.put_nowait((loop.time(), b""))
    await passing


async def _serve(port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        await asyncio.gather(_later(reader, back, seconds), _later(there, writer, 0.0), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1e3))
