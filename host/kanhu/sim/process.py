"""One run of MicroPython's unix port behind a pty, from spawn to exit, and the REPL's ways on a board."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import tty
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from kanhu.errors import KanhuError
from kanhu.install.firmware import cache_dir, compile_modules, read_modules

STARTED = b"\x00\x01BOOTED\x01\x00"  # _simboot.py says so when boot.py and main.py are over
RAW_ENTERED = b"raw REPL; CTRL-B to exit"
FRIENDLY_ENTERED = b'Type "help()"'
RAW_PASTE = b"\x05A\x01"
RAW_PASTE_DECLINED = b"R\x00"  # the unix port would run with Ctrl-C off in it; mpremote falls back
ENTER_RAW = b"\x01"
BACKLOG_LIMIT = 1 << 16  # bytes of radio messages waiting for a hub that does not listen
PROMPT = b">>> "
CTRL_C = b"\x03"
# sh opens the pty as the leader of a new session, which makes it the controlling terminal
SHELL = 'exec "$0" "$@" <"$KANHU_SIM_TTY" >"$KANHU_SIM_TTY" 2>&1'
RUN = """import sys
sys.path.insert(0, sys.argv.pop(1))
from micropython_run import run_main
run_main(sys.argv)"""
INTERRUPT = signal.SIGUSR1
# As a chip takes it, Ctrl-C waits for the program's next step. The port's own, on SIGINT, jumps away from
# wherever the interpreter is: with its heap locked, or holding a lock that nobody gives back.
RUN_INTERRUPTIBLE = f"""import ctypes, sys
sys.path.insert(0, sys.argv.pop(1))
import micropython_run
port = ctypes.CDLL(micropython_run.__file__)
port.signal({int(INTERRUPT)}, port.mp_sched_keyboard_interrupt)
port.siginterrupt({int(INTERRUPT)}, 1)
micropython_run.run_main(sys.argv)"""


class SimulatorMissing(KanhuError):
    """The extra kanhu[sim] is not installed, or has no build for this machine."""


@cache
def interpreter_dir() -> str:
    spec = importlib.util.find_spec("micropython_run")
    if spec is None or spec.origin is None:
        raise SimulatorMissing("no MicroPython here: pip install 'kanhu[sim]' (Linux x86-64 or macOS arm64)")
    return str(Path(spec.origin).parent)


@cache
def device_dir() -> Path:
    """Folder of the compiled stand-ins for the ESP32's modules; kept beside the cached firmware."""
    found = read_modules(Path(__file__).parent / "device")
    sources = {name: found[name] for name in found if "/" not in name}  # a folder is another bench's
    modules = compile_modules(sources)
    key = hashlib.sha256(repr(sorted(modules.items())).encode()).hexdigest()[:16]
    folder = cache_dir().parent / "device" / key
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
        (scratch / "modules").mkdir()
        (scratch / "start.py").write_text("import _simboot\n_simboot.start(globals())\n")
        for name, data in modules.items():
            (scratch / ("." if name.startswith("_") else "modules") / name).write_bytes(data)
        try:
            scratch.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(scratch)
    return folder


class Process:
    """A running hub. Lives in the bench's loop; calls back with output, messages and its end."""

    def __init__(
        self,
        state: dict[str, Any],
        heap: str,
        raw: bool,
        on_output: Callable[[bytes], None],
        on_message: Callable[[list[Any]], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_output, self._on_message, self._on_exit = on_output, on_message, on_exit
        self.raw = raw
        self._starting = True
        self._runs: bool | None = None  # something that Ctrl-C may end; None: nothing has begun yet
        self._asked_raw = False
        self._held = b""
        self._tail = b""
        self._received = b""
        self._unsent = bytearray()
        self._terminal, slave = os.openpty()
        _settle(slave)
        self._channel, theirs = socket.socketpair()
        theirs.setblocking(False)  # MicroPython's read(n) would wait for all n bytes
        python = [sys.executable, "-I", "-S", "-c", RUN_INTERRUPTIBLE, interpreter_dir()]
        script = str(device_dir() / "start.py")
        try:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", SHELL, *python, "-X", f"heapsize={heap}", "-i", script],
                env={
                    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                    "TZ": "UTC",
                    "KANHU_SIM_TTY": os.ttyname(slave),
                    "KANHU_SIM": json.dumps({**state, "fd": theirs.fileno(), "raw": raw}),
                },
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
        self._slave = slave
        self.pid = self._popen.pid
        for descriptor in (self._terminal, self._channel.fileno()):
            os.set_blocking(descriptor, False)
        self._loop.add_reader(self._terminal, self._read_terminal)
        self._loop.add_reader(self._channel.fileno(), self._read_channel)

    def kill(self) -> None:
        self._popen.send_signal(signal.SIGKILL)

    def type(self, data: bytes) -> None:
        """Bytes that arrive at the hub's serial port."""
        if self.raw and data == RAW_PASTE:
            self._on_output(RAW_PASTE_DECLINED)
            return
        while data:
            text, mark, data = data.partition(CTRL_C)
            with contextlib.suppress(BlockingIOError, OSError):  # an overrun loses bytes, as on a UART
                if not mark or not self._interrupt():
                    text += mark
                os.write(self._terminal, text)

    def _interrupt(self) -> bool:
        """False: for what runs Ctrl-C is a byte like any other."""
        if not termios.tcgetattr(self._slave)[3] & termios.ISIG:
            return False
        if self._runs:
            self._popen.send_signal(INTERRUPT)
        return True

    def tell(self, *message: Any, droppable: bool = False) -> bool:
        """A message to the stand-ins; one that is droppable is lost if the hub has not listened for long."""
        if droppable and len(self._unsent) > BACKLOG_LIMIT:
            return False
        self._unsent += json.dumps(message).encode() + b"\n"
        self._send()
        return True

    def _send(self) -> None:
        if self._channel.fileno() < 0:
            return
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent)]
            self._loop.remove_writer(self._channel.fileno())
        except BlockingIOError:
            self._loop.add_writer(self._channel.fileno(), self._send)
        except OSError:
            self._unsent.clear()

    def _read_channel(self) -> None:
        try:
            data = self._channel.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._reap()
            return
        if self._runs is None:
            self._runs = True
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):  # Ctrl-C can cut a message in two
                self._on_message(json.loads(line))

    def _reap(self) -> None:
        status = self._popen.poll()
        if status is None:
            self._loop.call_later(0.001, self._reap)
            return
        self._read_terminal()  # its last words
        self._loop.remove_reader(self._terminal)
        os.close(self._terminal)
        os.close(self._slave)
        self._channel.close()
        self._on_exit(status)

    def _read_terminal(self) -> None:
        try:
            data = os.read(self._terminal, 65536)
        except OSError:
            return
        if self._starting:
            data = self._until_started(data)
        if data:
            self._tail = (self._tail + data)[-200:]
            raw, friendly = self._tail.rfind(RAW_ENTERED), self._tail.rfind(FRIENDLY_ENTERED)
            if raw != friendly:
                self.raw = raw > friendly
            self._runs = self._runs or PROMPT in self._tail or raw >= 0
            self._on_output(data)

    def _until_started(self, data: bytes) -> bytes:
        """What of the output may be shown: a host that was in the raw REPL must not see the friendly one."""
        data = self._held + data
        mark = data.find(STARTED)
        if mark < 0:
            kept = next((n for n in range(len(STARTED) - 1, 0, -1) if data.endswith(STARTED[:n])), 0)
            self._held = data[len(data) - kept :]
            return data[: len(data) - kept]
        self._runs = False  # an interrupt now would wait for what the REPL runs first
        shown, rest = data[:mark], data[mark + len(STARTED) :]
        if self.raw:
            prompt = rest.find(PROMPT)
            banner = rest.find(RAW_ENTERED, prompt) if prompt >= 0 else -1
            if prompt >= 0 and not self._asked_raw:
                self._asked_raw = True
                self.type(ENTER_RAW)
            if banner < 0:
                self._held = STARTED + rest
                return shown
            rest = rest[banner:]
        self._starting = False
        self._held = b""
        return shown + rest


def _settle(slave: int) -> None:
    """A raw terminal. ISIG only tells whether Ctrl-C interrupts what runs; no key is a signal by itself."""
    tty.setraw(slave)
    settings = termios.tcgetattr(slave)
    settings[3] = termios.ISIG | termios.NOFLSH
    for key in (termios.VINTR, termios.VQUIT, termios.VSUSP):
        settings[6][key] = b"\0"
    termios.tcsetattr(slave, termios.TCSANOW, settings)
