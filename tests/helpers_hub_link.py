"""The hub's MQTT link on MicroPython, beside a test that is the other side."""

from __future__ import annotations

import asyncio
import subprocess

from helpers_micropython import ROOT, micropython_process, run_micropython

PRELUDE = (ROOT / "tests/mqtt/hub_prelude.py").read_text()
HUB = "kanhu/1/hubs/0123456789"
HEAP = "128k"


async def run_hub(script: str, port: int, *args: object) -> list[str]:
    """Run main() of a script on the hub's side; the lines it printed."""
    text = await asyncio.to_thread(
        run_micropython, f"{PRELUDE}\n{script}\nasyncio.run(main())\n", port, *args, heap=HEAP
    )
    return text.splitlines()


def hub(script: str, port: int):
    """A hub that goes on while the test acts."""
    return micropython_process(f"{PRELUDE}\n{script}\nasyncio.run(main())\n", port, heap=HEAP)


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await asyncio.to_thread(process.stdout.readline)).strip()
