"""Hundreds of readers of the desk, and how long a call then waits for the loop; measures time."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from helpers_desk import WORDS, running
from kanhu.web import stream
from kanhu_protocol import kinds as k


async def test_five_hundred_readers_do_not_hold_the_loop(tmp_path: Path) -> None:
    async with running(tmp_path) as place:
        hub = place.add_home("cn")[1]
        cookies = []
        for at in range(500 // stream.MAX_OF_ONE):
            operator = place.desk.operators.add(f"op{at}", subject=f"op{at}")
            cookies += [place.cookie(operator)] * stream.MAX_OF_ONE
        for _ in range(20):
            await place.call(hub)
        requests = [
            f"GET /desk/api/events HTTP/1.1\r\nhost: x\r\ncookie: kanhu_desk={cookie}\r\n\r\n".encode()
            for cookie in cookies
        ]
        script = (
            "import socket, sys, selectors\n"
            "port = int(sys.argv[1]); wait = selectors.DefaultSelector()\n"
            "for line in sys.stdin.buffer.read().split(b'|'):\n"
            "    one = socket.create_connection(('127.0.0.1', port)); one.sendall(line)\n"
            "    one.setblocking(False); wait.register(one, selectors.EVENT_READ)\n"
            "print('there', flush=True)\n"
            "while True:\n"
            "    for key, _ in wait.select():\n"
            "        if not key.fileobj.recv(1 << 20): wait.unregister(key.fileobj)\n"
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(place.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"|".join(requests))
        child.stdin.close()
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"there\n"
        async with asyncio.timeout(30):
            while place.desk.streams.open < stream.MAX_STREAMS:
                await asyncio.sleep(0.05)
        longest = 0.0
        until = time.monotonic() + 3
        while time.monotonic() < until:  # what a call's intake would have to wait for the loop
            place.desk.board.changed()
            began = time.monotonic()
            await asyncio.sleep(0)
            await place.alarms.raise_(hub, k.CALL, None, WORDS)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.05)
        print(f"longest wait {longest * 1000:.0f} ms")
        assert longest < 1.0
        child.kill()
        await child.wait()
