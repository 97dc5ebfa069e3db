"""A hub: the firmware as shipped in a MicroPython process that takes every step of time from the world."""

from __future__ import annotations

import atexit
import contextvars
import json
import math
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from kanhu.install.firmware import build_files
from kanhu.sim.process import RUN, interpreter_dir
from kanhu.sim.world.net import End, Net, Way
from kanhu_protocol import kinds as k

SCRIPT = Path(__file__).parents[1] / "device" / "lockstep" / "run.py"
HEAP = "256k"  # the unix port's objects are twice as large as an ESP32's
BLOCK = 4096  # bytes
HUNG_S = 60.0  # real time after which a hub does not come back
NEVER_MS = 1 << 62
CREDIT_BYTES = 512  # acknowledged to a hub's TCP at once
OPEN = 2  # a pin's level when nothing drives it
POWER_ON, SOFT = 1, 5  # names.RESETS
_HEAD = struct.Struct("<IQQ")
_RECORD = struct.Struct("<cH")


class HubFailed(Exception):
    """The firmware ended by itself, or hangs: never right."""


class _Socket:
    """A hub's end of a connection: an asyncio protocol towards the world."""

    def __init__(self, hub: Hub, name: bytes) -> None:
        self._hub = hub
        self.name = name
        self.end: End | None = None
        self._owed = 0

    def connection_made(self, transport: End) -> None:
        self.end = transport
        self._hub.tell(b"c", self.name)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), 1024):
            self._hub.tell(b"d", self.name + data[start : start + 1024])

    def connection_lost(self, error: Exception | None) -> None:
        self._hub.forget(self.name)
        self._hub.tell(b"x", self.name + (104).to_bytes(2, "little"))

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def took(self, count: int) -> None:
        """Bytes have left the hub's send buffer; it is told in larger pieces, as by TCP."""
        self._owed += count
        if self._owed >= CREDIT_BYTES:
            self._hub.tell(b"k", self.name + self._owed.to_bytes(4, "little"))
            self._owed = 0


class Hub:
    """Power, flash, NVS and pins of one hub, and its process while it has power."""

    def __init__(
        self,
        net: Net,
        folder: Path,
        hub_id: str,
        nvs: dict[str, int | bytes],
        *,
        blocks: int,
        seed: int,
        tick_start: int,
        driven: Mapping[int, int],
        say: Callable[[str, bytes], None],
        radio: bool = False,
        slack_ms: int = 0,
        program: Path | None = None,
    ) -> None:
        """driven: pin -> its level at each start, where not the pull; say(kind, data) hears what the hub did:
        taken, recorded, log, crashed, reset, cut; radio: it hears BLE; slack_ms: its waits of 50 ms and more
        end on a grid of this; program: the folder of another firmware than that of the sources."""
        self.hub_id = hub_id
        self.nvs = nvs
        self.home = Way(f"home of {hub_id}")  # the home's own uplink
        self.now_ms = 0
        self.wake_ms = NEVER_MS
        self.powered = False
        self.wifi = True
        self.sntp_ms: int | None = None
        self.flash_state = "well"
        self.cut_after = -1
        self.starts = 0
        self.exchanges = 0
        self.rtc_wrong_ms = 0
        self.worn: Path | None = None  # from its next start on: each erased block's number, 2 bytes
        self.nvs_writes = 0  # keys that were committed
        self._net = net
        self._flash = folder / f"{hub_id}.flash"
        self._blocks = blocks
        self._chance = random.Random(seed)
        self._tick_start = tick_start
        self._driven = dict(driven)
        self._say = say
        self._radio = radio
        self._slack_ms = slack_ms
        self._program = program
        self._context = contextvars.copy_context()
        self._fresh = True
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None
        self._told: list[bytes] = []
        self._waits = False  # the firmware has said what it did and waits for leave to go on
        self._sockets: dict[bytes, _Socket] = {}
        self._output = folder / f"{hub_id}.out"
        self._flash.write_bytes(b"\xff" * (BLOCK * blocks))

    # Power

    def power_on(self, cause: int = POWER_ON) -> None:
        """Start the firmware from what flash and NVS hold."""
        self.starts += 1
        self.powered = True
        self._told.clear()
        self.now_ms = math.ceil(self._net.loop.time() * 1000)
        ours, theirs = socket.socketpair()
        ours.settimeout(HUNG_S)
        conf = {
            "fd": theirs.fileno(),
            "now": self.now_ms,
            "lib": str(self._program or library()),
            "seed": self._chance.getrandbits(30),
            "flash": str(self._flash),
            "blocks": self._blocks,
            "worn": str(self.worn) if self.worn else "",
            "fresh": self._fresh,
            "flash_state": self.flash_state,
            "cut_after": self.cut_after,
            "nvs": {
                name: value if isinstance(value, int) else value.hex() for name, value in self.nvs.items()
            },
            "tick_start": self._tick_start,
            "driven": self._driven,
            "wifi": self.wifi,
            "sntp_ms": self.sntp_ms,
            "cause": cause,
            "radio": self._radio,
            "slack_ms": self._slack_ms,
            "kinds": (k.CALL, k.CLOCK_SET, k.DEVICE, k.COUNT, k.ALARM),
        }
        self._fresh = False
        command = [sys.executable, "-I", "-S", "-c", RUN, interpreter_dir()]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "-X", f"heapsize={HEAP}", str(SCRIPT)],
                env={"KANHU_WORLD": json.dumps(conf)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
            )
        theirs.close()
        self._waits = False
        self._wire = ours
        self.wake_ms = self.now_ms  # runs at once

    def power_off(self) -> None:
        """Cut its power: RAM is gone, connections are left as they are."""
        self.powered = False
        self.wake_ms = NEVER_MS
        self.cut_after = -1
        for one in list(self._sockets.values()):
            if one.end is not None:
                one.end.vanish(answered=False)
        self._sockets.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # What comes from outside, at the loop's present moment

    def tell(self, kind: bytes, data: bytes) -> None:
        """One record for the firmware; lost while it has no power."""
        if self.powered:
            self._told.append(_RECORD.pack(kind, len(data)) + data)
            self.wake_ms = min(self.wake_ms, math.ceil(self._net.loop.time() * 1000))

    def pin(self, number: int, level: int) -> None:
        """An input's level from now on."""
        self.tell(b"p", bytes((number, level)))

    def drive(self, number: int, level: int | None) -> None:
        """The same, and at each start. None: its wire is cut, and its pull decides."""
        self._driven.pop(number, None)
        if level is not None:
            self._driven[number] = level
        self.pin(number, OPEN if level is None else level)

    def hear(self, address: bytes, rssi: int, data: bytes) -> None:
        """An advertisement: address of 6 bytes as printed, RSSI in dBm below 0."""
        self.tell(b"a", address + bytes((rssi & 255,)) + data)

    def turn_wifi(self, up: bool) -> None:
        """The access point comes or goes."""
        self.wifi = up
        self.tell(b"w", b"1" if up else b"0")
        self.home.turn(up)

    def set_flash(self, state: str) -> None:
        """well, full or failing."""
        self.flash_state = state
        self.tell(b"f", state.encode())

    def cut_inside(self, operations: int) -> None:
        """Its power goes inside the flash operation after so many more."""
        self.cut_after = operations
        self.tell(b"q", b"%d" % operations)

    def set_sntp(self, utc_less_world_ms: int | None) -> None:
        """What time servers say from now on, and say at once."""
        self.sntp_ms = utc_less_world_ms
        self.tell(b"t", b"" if utc_less_world_ms is None else b"%d" % utc_less_world_ms)

    def forget(self, name: bytes) -> None:
        """A connection is over."""
        self._sockets.pop(name, None)

    # Lock-step

    def run(self, limit_s: float) -> bool:
        """Let it run, at most to limit_s; True when it did something that others may notice."""
        wire = self._ours()
        self.exchanges += 1
        try:
            if self._waits:
                records = b"".join(self._told)
                self._told.clear()
                at = max(self.now_ms, self.wake_ms)
                limit_ms = max(at, math.floor(min(limit_s, 1e15) * 1000))
                wire.sendall(_HEAD.pack(len(records), at, limit_ms) + records)
            self._waits = True
            size, self.now_ms, self.wake_ms = _HEAD.unpack(self._receive(_HEAD.size))
            records = self._receive(size)
        except (TimeoutError, EOFError, ConnectionError) as error:
            tail = self._output.read_bytes()[-2000:].decode("utf-8", "replace")
            raise HubFailed(f"hub {self.hub_id} does not answer ({error!r}): {tail}") from None
        if self._told:  # said before it was ready to hear
            self.wake_ms = self.now_ms
        self._net.loop.reach(self.now_ms / 1000)
        at = 0
        while at < size and self.powered:
            kind, length = _RECORD.unpack_from(records, at)
            at += _RECORD.size
            self._did(kind, records[at : at + length])
            at += length
        return bool(size)

    def _ours(self) -> socket.socket:
        if self._wire is None:
            raise HubFailed(f"hub {self.hub_id} has no power")
        return self._wire

    def _receive(self, size: int) -> bytes:
        wire = self._ours()
        data = b""
        while len(data) < size:
            piece = wire.recv(size - len(data))
            if not piece:
                raise EOFError("its process has ended")
            data += piece
        return data

    def _did(self, kind: bytes, data: bytes) -> None:
        loop = self._net.loop
        if kind == b"D":
            end = self._sockets.get(data[:4])
            if end is not None and end.end is not None:
                end.end.write(data[4:])
                loop.call_later(self._net.delay(), end.took, len(data) - 4, context=self._context)
        elif kind == b"C":
            host, _, port = data[4:].decode().rpartition(":")
            one = self._sockets[data[:4]] = _Socket(self, data[:4])
            loop.call_later(2 * self._net.delay(), self._connect, one, host, int(port), context=self._context)
        elif kind == b"X":
            gone = self._sockets.pop(data[:4], None)
            if gone is not None and gone.end is not None:
                gone.end.close()
        elif kind == b"N":
            self.nvs_writes += 1
            name, _, value = data.partition(b"=")
            self.nvs[name.decode()] = int(value[1:]) if value[:1] == b"i" else value[1:]
        elif kind == b"Z":
            why, _, text = data.decode().partition(" ")
            self._say(why, text.encode())
        else:
            self._say({b"P": "taken", b"E": "recorded", b"L": "log"}[kind], data)

    def _connect(self, one: _Socket, host: str, port: int) -> None:
        if self._sockets.get(one.name) is not one:
            return
        if not self.home.up:  # SYNs are lost and sent again
            self._net.loop.call_later(1.0, self._connect, one, host, port, context=self._context)
        elif self._net.join(one, host, port, (self.home,), self._context) is None:
            self.forget(one.name)
            self.tell(b"x", one.name + (111).to_bytes(2, "little"))


@cache
def library() -> Path:
    """The firmware as it is copied to a board, as files under a folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix="kanhu-world-lib-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path, data in build_files().items():
        if path.startswith("/a/"):
            file = folder / path.removeprefix("/a/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    return folder
