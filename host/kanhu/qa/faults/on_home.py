"""Faults of a home: Wi-Fi, name server, time server, the air, and a certificate that has expired."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kanhu.qa.board import Board
from kanhu.qa.capabilities import AIR_STORM, DNS, HUB_CLOCK, WIFI
from kanhu.sim.sensors import Advert

from .fault import Fault
from .secure import SecureLine
from .stage import Stage, background

TIME_SERVER = "time.lan"  # of hubs whose settings have ntp = [TIME_SERVER, 123]
BURST_S = 0.05  # a storm's advertisements come so often together
STRANGERS = 200  # addresses of a storm
HEADS = (  # of advertising data: type, then company or service
    b"\xff\x4c\x00",  # manufacturer data
    b"\xff\x06\x00",
    b"\x16\xd2\xfc",  # service data of BTHome: sensors that are not this home's
    b"\x16\x9a\xfd",
)


class HomeFaults(Stage):
    """Only a simulated bench has a home that it can spoil."""

    def wifi_off(self, hub: Board | None = None) -> Fault:
        """The home's access point is off."""
        bench = self._bench(WIFI)
        board = self._hub(hub)

        @contextmanager
        def make() -> Iterator[None]:
            bench.wifi(False, self._simulated(bench, board))
            try:
                yield
            finally:
                bench.wifi(True, self._simulated(bench, board))

        return self._fault("wifi off", make, board.name)

    def wifi_flap(self, every_s: float = 1.0, hub: Board | None = None) -> Fault:
        """The access point goes off and on, each for half of every_s; on at the end."""
        bench = self._bench(WIFI)
        board = self._hub(hub)

        def work(over: threading.Event) -> None:
            on = True
            try:
                while not over.is_set():
                    on = not on
                    bench.wifi(on, self._simulated(bench, board))
                    over.wait(every_s / 2)
            finally:
                bench.wifi(True, self._simulated(bench, board))

        return self._fault(
            "wifi flap", lambda: background("wifi flap", work), f"{board.name}, every {every_s:g} s"
        )

    def dead_dns(self, hub: Board | None = None) -> Fault:
        """The home's name server answers nothing; what a hub knows by address it still reaches."""
        bench = self._bench(DNS)
        board = self._hub(hub)

        @contextmanager
        def make() -> Iterator[None]:
            bench.name_server(False, self._simulated(bench, board))
            try:
                yield
            finally:
                bench.name_server(True, self._simulated(bench, board))

        return self._fault("dead DNS", make, board.name)

    def hub_clock(self, off_s: float) -> Fault:
        """The time server of the homes (TIME_SERVER) is wrong by so much; a hub asks it when it starts."""
        bench = self._bench(HUB_CLOCK)

        @contextmanager
        def make() -> Iterator[None]:
            bench.serve_time(TIME_SERVER, offset=off_s)
            try:
                yield
            finally:
                bench.serve_time(TIME_SERVER)

        return self._fault("hub clock", make, f"{off_s:+g} s")

    def air_storm(self, per_s: float = 300) -> Fault:
        """So many advertisements a second of strangers' devices."""
        bench = self._bench(AIR_STORM)
        chance = random.Random(self._next_seed())  # noqa: S311
        strangers = [chance.randbytes(6) for _ in range(STRANGERS)]

        def work(over: threading.Event) -> None:
            begun, sent = time.monotonic(), 0
            while not over.wait(BURST_S):
                due = int((time.monotonic() - begun) * per_s)
                while sent < due and not over.is_set():
                    bench.advertise(_stranger(chance, strangers))
                    sent += 1

        return self._fault("air storm", lambda: background("air storm", work), f"{per_s:g} a second")

    def expired_certificate(self, line: SecureLine) -> Fault:
        """The broker's certificate on this line has expired; connections are reset, so that hubs see it."""

        @contextmanager
        def make() -> Iterator[None]:
            line.expire()
            try:
                yield
            finally:
                line.renew()

        return self._fault("expired certificate", make, line.name)


def _stranger(chance: random.Random, addresses: list[bytes]) -> Advert:
    body = chance.choice(HEADS) + chance.randbytes(chance.randrange(1, 20))
    return Advert(chance.choice(addresses), -chance.randrange(50, 95), bytes((len(body),)) + body)
