"""What a broker refused, counted out of its log: on MQTT 3.1.1 nobody else hears of a forbidden publish.

nats-server writes its refusals as errors. mosquitto does with `log_type all`: a denied PUBLISH has a line of
its own, and a SUBSCRIBE whose filter is not confirmed before its SUBACK was denied."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import structlog

log = structlog.get_logger("kanhu.mqtt.broker")

READ_EVERY_S = 2.0
READ_MAX = 1 << 20  # bytes at once
TOLD_MAX = 1_000  # (reason, who) remembered, so that each is in our log once
OPEN_MAX = 1_000  # clients whose SUBACK is awaited
REASONS = ("publish", "subscribe", "password", "tls")

_NATS = (
    ("publish", re.compile(r'"(.*)" - Publish Violation')),
    ("subscribe", re.compile(r'"(.*)" - Subscription Violation')),
    ("password", re.compile(r'authentication error - User "(.*)"')),
    ("tls", re.compile(r"\[ERR\] (\S+):\d+ - mid:\d+ - TLS handshake error")),
)
_MOSQUITTO = (
    ("publish", re.compile(r"^\d+: Denied PUBLISH from (\S+) ")),
    ("password", re.compile(r"^\d+: Client (\S+) disconnected, not authorised")),
    ("tls", re.compile(r"^\d+: OpenSSL Error\[0\]:()")),
)
_SUBSCRIBE = re.compile(r"^\d+: Received SUBSCRIBE from (\S+)$")
_WANTED = re.compile(r"^\d+: \t(\S+) \(QoS \d\)$")
_GRANTED = re.compile(r"^\d+: (\S+) \d (\S+)$")
_SUBACK = re.compile(r"^\d+: Sending SUBACK to (\S+)$")


class Refusals:
    """counts[reason] since it was made; what the log held before is left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.readable = True
        self._told: set[tuple[str, str]] = set()
        self._wanted: dict[str, list[str]] = {}  # client -> filters of a SUBSCRIBE without its SUBACK
        self._asking = ""  # client whose filters are being listed
        self._rest = b""
        try:
            found = path.stat()
            self._inode, self._position = found.st_ino, found.st_size
        except OSError:
            self._inode, self._position = 0, 0

    async def watch(self) -> None:
        """Read on for ever."""
        while True:
            await asyncio.sleep(READ_EVERY_S)
            self.read()

    def read(self) -> None:
        """Count what the log says now."""
        try:
            with self.path.open("rb") as file:
                found = self.path.stat()
                if found.st_ino != self._inode or found.st_size < self._position:
                    self._inode, self._position, self._rest = found.st_ino, 0, b""  # rotated
                file.seek(self._position)
                data = file.read(READ_MAX)
        except OSError as error:
            if self.readable:
                log.warning("the broker's log cannot be read", path=str(self.path), reason=error.strerror)
            self.readable = False
            return
        self.readable = True
        self._position += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-READ_MAX:]
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    def _line(self, line: str) -> None:
        for reason, pattern in (*_NATS, *_MOSQUITTO):
            if match := pattern.search(line):
                self._refused(reason, match[1])
                return
        if match := _SUBSCRIBE.match(line):
            self._asking = match[1]
            if len(self._wanted) >= OPEN_MAX:
                self._wanted.clear()
            self._wanted[self._asking] = []
        elif (match := _WANTED.match(line)) and self._asking in self._wanted:
            self._wanted[self._asking].append(match[1])
        elif match := _GRANTED.match(line):
            filters = self._wanted.get(match[1], [])
            if match[2] in filters:
                filters.remove(match[2])
        elif match := _SUBACK.match(line):
            for _ in self._wanted.pop(match[1], ()):
                self._refused("subscribe", match[1])

    def _refused(self, reason: str, who: str) -> None:
        self.counts[reason] += 1
        if (reason, who) not in self._told and len(self._told) < TOLD_MAX:
            self._told.add((reason, who))
            log.warning("the broker refused a client; more of it is only counted", reason=reason, client=who)
