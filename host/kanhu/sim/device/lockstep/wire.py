# The wire to a world in lock-step: the hub runs as far as it was granted, says what it did, and waits.
# Time is the world's, in ms. A message is its head and its records; a record is kind, length and bytes.
import asyncio
import struct
from asyncio import core

from micropython import const

_AHEAD_MS = const(1 << 40)
_HEAD = "<IQQ"  # bytes of records, now, wake: up; bytes of records, at, granted: down
_HEAD_BYTES = const(20)
_NEVER = const(1 << 62)
_EXACT_MS = const(50)  # shorter waits, such as those that tell a contact from its bouncing, have no slack

now = 0  # ms of the world
granted = 0  # ms up to which nothing can come from outside
slack_ms = 0  # longer waits end together on a grid of this; 0: each at its own time
handlers = {}  # kind of record -> function of its bytes
_out = []
_stream = None


def begin(fd, at, slack):
    """Take the descriptor of the wire, the moment of power-on and the slack of waits in ms."""
    global _stream, now, granted, slack_ms
    slack_ms = slack
    _stream = open(fd, "r+b")  # noqa: SIM115  open as long as the hub runs
    now = granted = at
    # asyncio's C code dates tasks that are due at once by the real clock: virtual time is far ahead of it.
    core.new_event_loop()
    core.ticks = asyncio.ticks = _ticks
    core.IOQueue.wait_io_event = _wait


def _ticks():
    return _AHEAD_MS + now


def say(kind, data):
    """Something left the hub: the world hears of it as soon as the hub has nothing more to do now."""
    _out.append(struct.pack("<BH", kind[0], len(data)))
    _out.append(data)


def _exchange(wake):
    global granted
    records = b"".join(_out)
    _out.clear()
    _stream.write(struct.pack(_HEAD, len(records), now, wake) + records)
    size, at, granted = struct.unpack(_HEAD, _stream.read(_HEAD_BYTES))
    return size, at


def _wait(queue, dt):
    global now
    if not dt:
        return
    wake = now + dt if dt > 0 else _NEVER
    if slack_ms and dt >= _EXACT_MS:
        wake += -wake % slack_ms
    if wake <= granted and not _out:
        now = wake
        return
    size, at = _exchange(wake)
    if not size:
        if wake <= granted:
            now = wake
        return
    now = max(now, at)
    data = _stream.read(size)
    start = 0
    while start < size:
        kind, length = struct.unpack_from("<BH", data, start)
        start += 3
        handlers[bytes((kind,))](data[start : start + length])
        start += length


def die(why, text=""):
    """Say why, and wait for the end."""
    say(b"Z", (why + " " + text).encode())
    _exchange(_NEVER)
    while _stream.read(1):  # until the world ends this, or itself
        pass
    raise SystemExit
