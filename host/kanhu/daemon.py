"""The daemon: links -> intake -> journal -> uplink, and receipts back. One asyncio process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import structlog

from kanhu import erasure, requests
from kanhu.aead import AesCcm
from kanhu.broker import embedded, keep_current
from kanhu.care import Alarms
from kanhu.care.asking import Asking
from kanhu.care.duty import Duty
from kanhu.care.escalation import Escalation
from kanhu.care.fault_requests import handler as fault_requests
from kanhu.care.faults import Faults
from kanhu.care.modes import Modes
from kanhu.care.proofs import Proofs
from kanhu.care.referrals import Referrals
from kanhu.care.rules import RULES
from kanhu.care.visits import Visits
from kanhu.care.watch import Watch
from kanhu.config import Broker, Config
from kanhu.counters import Counters
from kanhu.downlink import Downlink
from kanhu.ending import end
from kanhu.errors import ConfigError, KanhuError
from kanhu.install.check.requests import handler as check_requests
from kanhu.install.check.surveys import Surveys
from kanhu.intake import Intake, Receipts
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.journal.retention import DAY_MS, retire
from kanhu.links.hub_link import HubLink
from kanhu.links.mqtt import MqttLink
from kanhu.links.serial import SerialLink
from kanhu.metrics import MetricsServer
from kanhu.orders import Orders
from kanhu.pairing import Pairing
from kanhu.pairing.requests import handler as pairing_requests
from kanhu.pairing.walks import Walks
from kanhu.registry import Registry
from kanhu.registry.families import Families
from kanhu.silence import Silence, limit_s
from kanhu.updates.requests import handler as update_requests
from kanhu.updates.updates import Updates
from kanhu.uplink.city import City
from kanhu.uplink.mqtt import Uplink
from kanhu.uplink.referrals import ReferralLine
from kanhu.web.sources import Sources
from kanhu.witness import Witness
from kanhu_protocol import events, names
from kanhu_protocol import kinds as k

if TYPE_CHECKING:
    from kanhu.web.desk import Desk
    from kanhu.web.site import Site

log = structlog.get_logger("kanhu")

SILENCE_CHECK_S = 1.0
SILENT_AT_ONCE = 50  # hubs said to be silent in one turn of the loop
NOTES_EVERY_S = 1.0
RETIRE_FIRST_S = 600.0  # after a start, when hubs and platform have caught up
RETIRE_EVERY_S = 86_400.0
SILENCE_ROWS = 10_000  # newest of our own events on silence that a start reads


class Daemon:
    """Everything `kanhu run` runs; build it inside a running loop, then await run()."""

    def __init__(self, config: Config) -> None:
        if not (config.hubs.mqtt or config.hubs.serial or config.hubs.ble.enabled or config.broker.enabled):
            raise ConfigError("no way in: set [hubs.mqtt], [hubs] serial or [broker] enabled = true")
        self.config = config
        self.journal = Journal.open(config.data_dir)
        self.registry = Registry.open(config.data_dir)
        self.counters = Counters()
        self.commands = Commands(self.journal)
        self.alarms = Alarms(self.journal, self.commands)
        self.asking = Asking(self.alarms, self.journal.clock)
        self.duty = Duty(self.registry)
        self.escalation = Escalation(
            self.alarms, self.duty, self.registry, config.care.escalation, self.journal.clock
        )
        self.faults = Faults(
            self.journal,
            self._region_of,
            self.duty.on_duty,
            {kind: hours for kind, name in names.KINDS.items() if (hours := config.care.deadlines.get(name))},
            config.care.incidents.hubs,
            config.care.incidents.within_s,
        )
        self.proofs = Proofs(self.journal, self._is_heard)
        self.intake = Intake(self.journal, self.registry, self.alarms, self.commands, self.counters)
        self.modes = Modes(self.journal)
        self.intake.notes += [self.proofs.note, self.faults.note, self.modes.note]
        self._aeads: dict[tuple[str, int], AesCcm] = {}
        self._aeads_version = self.registry.version
        self.witness = Witness(self.journal, self.registry)
        self.witness.look()  # before anybody is believed
        self.downlink = Downlink(self._key_of, self.journal.next_epoch)
        self.orders = Orders(
            self.journal,
            self.commands,
            self.alarms,
            self.registry,
            self.downlink,
            self.intake.identities,
        )
        self.city = City(self.journal, self.alarms, self.registry, self.orders)
        self.city.region_of_incident = self.faults.region_of_incident
        self.broker, own = embedded(config, self.registry)
        self.uplink = Uplink(
            config.platform.mqtt or own or Broker(),
            config.platform,
            self.journal.daemon_id,
            self.journal.undelivered,
            self.city.render,
            self.city.delivered,
            self.city.command,
        )
        self.city.uplink = self.uplink
        limit = limit_s(config.hubs.heartbeat_s, config.hubs.missed_heartbeats)
        self.silence = Silence(limit, time.monotonic())
        self.watch = Watch(
            self.journal,
            self.registry,
            self.alarms,
            self.modes,
            limit,
            int(config.care.ask_s * 1000),
            RULES,
            self.proofs.proof,
            self._standing,
        )
        self.links: list[HubLink] = [SerialLink(url, self) for url in config.hubs.serial]
        if config.hubs.ble.enabled:
            from kanhu.links.ble import BleLink  # elsewhere nothing of Bluetooth is loaded

            self.links.append(BleLink(self, self._served_by_ble))
        hubs_broker = config.hubs.mqtt or own
        if hubs_broker is not None:
            self.links.append(MqttLink(hubs_broker, self.journal.daemon_id, self))
        for link in self.links:
            self.downlink.attach(link)
        self.journal.on_stored.append(self._stored)
        self.journal.on_delivered.append(self._delivered)
        self.pairing = Pairing(self.registry, self.journal, self.commands, self.downlink)
        self.journal.on_stored.append(self.pairing.stored)
        self.journal.on_delivered.append(self.pairing.delivered)
        self.orders.on_table.append(self.pairing.table_reported)
        self.surveys = Surveys(self.registry, self.commands, self.downlink)
        self.journal.on_stored.append(self.surveys.stored)
        walks = Walks(self.registry, self.journal)
        self.check_requests = check_requests(self.surveys, walks, self.registry, self.journal)
        self.updates = Updates(
            self.journal, self.registry, self.commands, self.downlink, self.alarms, self._is_heard,
            lambda: self.uplink.connected, config.data_dir,
        )  # fmt: skip
        self.intake.notes.append(self.updates.note)
        self.desk: Desk | None = None
        self.site = self._site(config) if config.desk.enabled or config.family.enabled else None
        self.visits = self.city.visits = Visits(self.journal, self.registry, config.data_dir)
        self.referrals = Referrals(self.journal)
        self.referral_line: ReferralLine | None = None
        if config.platform.referrals:
            city = config.platform.mqtt or own or Broker()
            self.referral_line = ReferralLine(city, self.journal, self.city.render)
        self._events: set[asyncio.Task[Event]] = set()
        self._restore_silence()

    def _site(self, config: Config) -> Site:
        # A web server that most homes' daemons do without.
        from kanhu.web.audit import Audit
        from kanhu.web.site import Part, Site

        sources = Sources(
            self.watch.conditions, self.watch.condition, self.watch.past, self.proofs.proof, self.modes.set,
            self.faults.incidents,
        )  # fmt: skip
        common = config.data_dir, self.journal, self.registry, self.alarms, sources
        audit = Audit(self.journal)
        parts: list[Part] = []
        if config.desk.enabled:
            from kanhu.web.desk import Desk

            self.desk = Desk(config.desk, config.web, *common, audit)
            parts.append(self.desk)
        if config.family.enabled:
            from kanhu.web.family import Family

            parts.append(Family(config.web, *common, self.pairing, audit))
        return Site(config.web, parts)

    def _served_by_ble(self) -> list[str]:
        return [
            hub
            for hub in self.config.hubs.ble.hubs or (hub.id for hub in self.registry.hubs())
            if self.registry.knows(hub)
        ]

    def _region_of(self, hub_id: str) -> str | None:
        home = self.registry.home_of(hub_id)
        return home.region if home is not None else None

    def _standing(self) -> dict[str, dict[tuple[int, int], int]]:
        found: dict[str, dict[tuple[int, int], int]] = {}
        for task in self.faults.open():
            found.setdefault(task.hub, {})[max(0, task.device), task.kind] = task.opened_ms
        return found

    def _is_heard(self, hub_id: str) -> bool:
        return self.silence.state(hub_id, time.monotonic()) == "heard"

    def _key_of(self, hub_id: str) -> tuple[int, AesCcm] | None:
        if self._aeads_version != self.registry.version:
            self._aeads_version = self.registry.version
            self._aeads.clear()
        keys = self.registry.keys(hub_id)
        generation = self.intake.generation(hub_id)
        if generation not in keys:
            if not keys:
                return None
            generation = max(keys)
        aead = self._aeads.get((hub_id, generation))
        if aead is None:
            aead = self._aeads[hub_id, generation] = AesCcm(keys[generation])
        return generation, aead

    def _restore_silence(self) -> None:
        said: dict[str, int] = {}
        rows = self.journal.reader.rows(
            "SELECT plain FROM events WHERE hub=? AND kind IN (?, ?) ORDER BY n DESC LIMIT ?",
            (self.journal.daemon_id, k.HUB_SILENT, k.HUB_BACK, SILENCE_ROWS),
        )
        for (plain,) in rows:
            event = events.decode(plain)
            said.setdefault(event[k.SUBJECT], event[k.KIND])
        for hub in self.journal.hubs():
            if hub != self.journal.daemon_id and self.registry.knows(hub):
                newest = self.journal.reader.newest(hub)
                since_ms = self.journal.clock() - (newest.received_ms if newest else 0)
                self.silence.restore(hub, said.get(hub) == k.HUB_SILENT, since_ms / 1000)
        self.journal.note("silence_limit_s", int(self.silence.limit_s))  # for `kanhu status`

    # Inlet: what links call

    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Receipts]:
        """Take a CBOR sequence of sealed events; receipts leave when the future is done."""
        future = self.intake.submit(hub_id, payload, link)
        future.add_done_callback(lambda done: self._answer(done, link))
        return future

    def refuse(self, link: str, reason: str) -> None:
        """Count what was not even a message."""
        self.counters.refuse(link, reason)

    def present(self, hub_id: str, link: str) -> None:
        """A link can reach this hub; nothing is kept of names that are no hub's."""
        if self.registry.knows(hub_id):
            self.downlink.present(hub_id, link)

    def _answer(self, done: asyncio.Future[Receipts], link: str) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        receipts = done.result()
        if receipts:
            if receipts.own:
                self.downlink.heard(receipts.hub, receipts.boot, link)
            self.downlink.stored(receipts.hub, receipts.upto, receipts.single)
            if receipts.delivered:
                self.downlink.delivered(receipts.hub, receipts.delivered)
            if receipts.alive and self.silence.heard(receipts.hub, time.monotonic()):
                self._raise(k.HUB_BACK, receipts.hub)

    # What the journal tells

    def _stored(self, stored: list[Event]) -> None:
        self.uplink.offer(stored)
        for event in stored:
            self.watch.take(event)
            if event.sealed is not None:
                # The link is known before the receipts' turn comes: orders may leave at once.
                boot = self.intake.identities.boot(event.hub)
                if event.boot == boot:
                    self.downlink.heard(event.hub, boot, event.link)
                self.orders.stored(event)

    def _delivered(self, delivered: list[Event]) -> None:
        for event in delivered:
            if event.cls == k.P1 and event.sealed is not None:
                self.downlink.delivered(event.hub, [(event.boot, event.seq)])

    def _raise(self, kind: int, hub_id: str, span_ms: int | None = None) -> None:
        fields = {k.SUBJECT: hub_id} | ({} if span_ms is None else {k.SPAN_MS: span_ms})
        task = asyncio.get_running_loop().create_task(self.journal.host_event(kind, fields))
        self._events.add(task)

        def said(task: asyncio.Task[Event]) -> None:
            self._events.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.silence.not_said(hub_id, silent=kind == k.HUB_SILENT)
                log.error("an event of our own could not be kept", kind=kind, hub=hub_id, error=str(error))

        task.add_done_callback(said)

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(SILENCE_CHECK_S)
            if not self.journal.healthy:
                continue  # it could not be kept
            fallen = list(self.silence.fallen_silent(time.monotonic()))
            for count, (hub_id, seconds) in enumerate(fallen):
                if count % SILENT_AT_ONCE == SILENT_AT_ONCE - 1:
                    await asyncio.sleep(0)  # a broker that is lost takes all hubs with it
                log.warning("a hub has fallen silent", hub=hub_id, seconds=round(seconds))
                self._raise(k.HUB_SILENT, hub_id, int(seconds * 1000))

    async def _watch_health(self) -> None:
        """Tell the service manager that we live, and the log when the disk does not."""
        was_well = True
        while True:
            _notify("WATCHDOG=1")
            well = self.journal.healthy
            if well != was_well:
                was_well = well
                if well:
                    log.info("the journal can be written again")
                else:
                    log.error(
                        "the journal cannot be written; nothing is acknowledged", error=self.journal.error
                    )
            await asyncio.sleep(1.0)

    async def _keep_notes(self) -> None:
        """Remember who was refused, and which registry was seen last."""
        while True:
            self.witness.look()
            self.intake.refusals.save()
            await asyncio.sleep(NOTES_EVERY_S)

    async def _retire(self) -> None:
        """Let old delivered events go, soon after a start and then once a day; the ledger still balances."""
        await asyncio.sleep(RETIRE_FIRST_S)
        while True:
            try:
                days = self.config.retention.days
                gone = await retire(self.journal, days)
                Families(self.registry).forget_wearers(self.journal.clock() - int(days * DAY_MS))
                log.info("old events retired", events=gone)
            except (KanhuError, sqlite3.Error) as error:
                log.error("old events could not be retired; tried again tomorrow", error=str(error))
            await asyncio.sleep(RETIRE_EVERY_S)

    @contextlib.asynccontextmanager
    async def _surroundings(self) -> AsyncIterator[None]:
        metrics = MetricsServer(self) if self.config.metrics.enabled else None
        try:
            if self.broker:
                await asyncio.to_thread(self.broker.start)
            if metrics:
                metrics.start()
            yield
        finally:
            if metrics:
                metrics.stop()
            await self.city.settle()
            self.intake.refusals.save()
            await self.journal.close()
            self.registry.close()
            if self.broker:
                await asyncio.to_thread(self.broker.stop)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stop is set; what was received is on disk when this returns."""
        async with self._surroundings():
            parts = [
                *(link.run() for link in self.links),
                self.uplink.run(),
                self.downlink.run(),
                self.orders.watch_tables(),
                self.orders.watch_gaps(),
                self.asking.run(),
                self.escalation.run(),
                self.faults.run(),
                self.proofs.run(),
                self.watch.run(),
                self.visits.run(),
                self.referrals.run(),
                *([self.referral_line.run()] if self.referral_line else ()),
                self.pairing.run(),
                self.updates.run(),
                requests.watch(
                    self.config.data_dir,
                    requests.route(
                        {
                            "check": self.check_requests,
                            "faults": fault_requests(self.faults),
                            "pair": pairing_requests(self.pairing),
                            "update": update_requests(self.updates),
                        }
                    ),
                ),
                keep_current(self.broker, self.config, self.registry),
                self._watch_silence(),
                self._watch_health(),
                self._retire(),
                self._keep_notes(),
                erasure.watch(self),
                *([self.site.run()] if self.site else ()),
            ]
            tasks = [asyncio.ensure_future(part) for part in parts]
            stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
            log.info("running", daemon=self.journal.daemon_id, data_dir=str(self.config.data_dir))
            _notify("READY=1")
            try:
                await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done() and (error := task.exception()) is not None:
                        raise error
            finally:
                _notify("STOPPING=1")
                await end([*tasks, stopped])
        log.info("stopped")


def _notify(state: str) -> None:
    """Tell systemd (sd_notify(3)) when it asked for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
