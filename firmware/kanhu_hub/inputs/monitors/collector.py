"""Collects from the device table's health monitors. Loaded once the table has one."""

import asyncio
import sys

from micropython import const

from kanhu_hub.inputs.monitors.bonds import Bonds
from kanhu_hub.inputs.monitors.monitor import Monitor
from kanhu_hub.inputs.monitors.session import Session

_MOST = const(4)  # connections that an ESP32 has
# The hub hears no caller while it connects; what has just advertised answers at its next advertisement.
_CONNECT_MS = const(1000)
_FAIR_MS = const(60_000)  # ours: after this long a session makes room for a monitor that has none
_LEAVE_MS = const(3000)
_LOOK_MS = const(1000)
_PACKAGE = "kanhu_hub.inputs.monitors."
_NEW = (False, 0, None, None, None)


def start(app, drop):
    """The collector of a hub, running; None without a radio. drop as kanhu_hub.app has it."""
    if not app.board.radio:
        return None
    collector = Collector(app, drop)
    app.supervisor.add("monitors", collector.run, 0)
    return collector


class Collector:
    """run() collects for ever; app as kanhu_hub.app.App."""

    def __init__(self, app, drop):
        self.app = app
        self._drop = drop
        self._loaded = set(sys.modules)
        self.bonds = Bonds(app.devices.path)
        self._radio = app.board.radio
        self._central = self._radio.central(self.bonds)
        self._monitors = {}  # by address
        self._version = None
        self._sessions = []

    async def run(self):
        """Never returns."""
        central = asyncio.create_task(self._central.run())
        try:
            while not central.done():
                if self._version != self.app.devices.version:
                    self._version = self.app.devices.version
                    self._table()
                self.bonds.keep()
                await self.app.clock.sleep_ms(_LOOK_MS)
        finally:
            central.cancel()

    def _table(self):
        known, self._monitors = self._monitors, {}
        app = self.app
        for device, role, address in [row[:3] for row in app.devices.all()]:
            if not 10 < role < 17 or len(address) != 6:
                continue
            monitor = known.get(address)
            if not monitor or (monitor.device, monitor.role) != (device, role):
                facts = self.bonds.facts.setdefault(address, list(_NEW))
                monitor = Monitor(device, role, address, facts, app.emit, app.clock, self._begin)
            self._monitors[address] = monitor
        for address, monitor in known.items():
            if self._monitors.get(address) is not monitor and monitor.session:
                monitor.session.leave()
        self.bonds.only(self._monitors)
        self._radio.watched = {address: monitor.heard for address, monitor in self._monitors.items()}

    def _begin(self, monitor, address_type, advertisement):
        if len(self._sessions) >= _MOST:
            oldest = self._sessions[0]
            if self.app.clock.now_ms() - oldest.began_ms >= _FAIR_MS:
                oldest.leave()
            return
        session = Session(self.app, self.bonds, monitor, advertisement)
        session.task = asyncio.create_task(self._collect(monitor, session, address_type))
        monitor.session = session
        self._sessions.append(session)

    async def _collect(self, monitor, session, address_type):
        link = None
        facts = monitor.facts[:]
        try:
            link = await self._central.connect(address_type, monitor.address, _CONNECT_MS)
            if link:
                await session.run(link)
                await self._leave(link)
                await session.finish()
        except Exception as error:
            print("monitor", monitor.device, repr(error))
            if link:
                link.leave()
        self._sessions.remove(session)
        monitor.over(session.gave)
        if monitor not in self._monitors.values():  # it left the table meanwhile
            self.bonds.forget(monitor.address)
        if facts != monitor.facts:
            self.bonds.changed()
        self.bonds.keep()
        if not self._sessions:  # profiles are needed for seconds a day
            self._drop(*[name for name in sys.modules if name not in self._loaded and _PACKAGE in name])

    async def _leave(self, link):
        for _ in range(2):
            if not link.gone:
                link.news.clear()
                link.leave()
                try:
                    await asyncio.wait_for_ms(link.news.wait(), _LEAVE_MS)
                except asyncio.TimeoutError:
                    pass
