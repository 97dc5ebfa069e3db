"""The hub as it runs: what an input says becomes an event, what the elder sees, and the regular round."""

import asyncio
import gc
import sys

from micropython import const

from kanhu_hub.alarm import KINDS
from kanhu_hub.downlink import NOT_SAVED
from kanhu_hub.supervisor import OUT_OF_MEMORY, TASK_FAILED, WATCHDOG_MS
from kanhu_protocol import kinds as k

FIRMWARE = "0.1.0"

_TICK_MS = const(250)
_MARGIN_MS = const(15000)  # a receipt's way back, beside three heartbeats with their jitter


class NotProvisioned(Exception):
    """args[0] says what to do."""


def log(text):
    """One line of the hub's log, on the console between frames."""
    print("kanhu:", text)


def drop(*names):
    """Forget modules: code that has done its work gives its heap back."""
    for name in names:
        module = sys.modules.pop(name, None)
        package = sys.modules.get(name[: name.rfind(".")])
        if module and package:
            delattr(package, name[name.rfind(".") + 1 :])
    gc.collect()


class App:
    """App(board).run() is the hub; board is kanhu_hub.board.Board or a stand-in with its shape."""

    firmware = FIRMWARE
    proof_ms = None  # when proof.py has something to do
    unproven = True  # since the start
    pairing = None  # pairing.py, while it is open
    commissioning = None  # commissioning.py, while it is open
    radio = None  # inputs/advertisements.py, where the board has one
    collector = None  # inputs/monitors/collector.py, where the table has had a health monitor

    def __init__(self, board, folder="/data", make_links=None):
        if not board.nvs.blob("hub_id") or len(board.nvs.blob("key") or b"") != 16:
            raise NotProvisioned("not provisioned: see docs/wiring.md")
        from kanhu_hub import wiring

        self.board = board
        self.buttons = {}  # wired callers by device
        (
            self.config,
            self.clock,
            self.outbox,
            self.devices,
            self.recorder,
            self.courier,
            self.alarms,
            self.downlink,
            self.indicator,
            self.faults,
            self.heartbeat,
            self.supervisor,
            self.reset,
        ) = wiring.assemble(self, board, folder, log, make_links)

    def start(self):
        """Record the boot and start every task."""
        from kanhu_hub import wiring

        wiring.start(self, log, drop)
        drop("kanhu_hub.wiring", "kanhu_hub.config", "kanhu_hub.recall", "kanhu_protocol.mqtt")

    async def run(self):
        """Be a hub, for ever."""
        self.board.watchdog(WATCHDOG_MS)
        self.start()
        await self.supervisor.run()

    def emit(self, kind, fields):
        """An input's fact: True when flash has it."""
        if self.pairing:
            kind = self.pairing.emitted(kind, fields)
        if kind in KINDS:
            saved = None
            if kind == k.FALL and self.config.fall_ask:
                try:
                    saved = self._asking("fall", fields)
                except MemoryError:
                    pass  # nobody can be asked: an alarm at once
            if saved is None:
                saved = self.alarms.raised(kind, fields)
            self.indicator.look()
            if fields.get(k.DEVICE) in self.buttons and self.courier.cut_off_ms():
                self.commission()
            return saved
        if not self.faults.seen(kind, fields):
            return True
        saved = self.recorder.record(kind, fields)[1]
        self.faults.keep()
        return saved

    def commission(self):
        """The network may be set from now on."""
        try:  # a hub without still calls
            from kanhu_hub import commissioning

            commissioning.begin(self, log, drop)
        except Exception as error:
            print("commissioning", repr(error))

    def cancel(self, kind, fields):
        """What the cancel key does."""
        if kind != k.CALL:
            return self.emit(kind, fields)
        self._asking("cancel", log)
        self.indicator.look()

    def _asking(self, what, *args):
        from kanhu_hub import asking

        done = getattr(asking, what)(self, *args)
        if not self.alarms.asks:
            del asking
            drop("kanhu_hub.asking")
        return done

    def changed(self):
        """The device table is another one."""
        try:
            from kanhu_hub import pairing

            pairing.changed(self, drop)
        except Exception as error:  # it still calls
            print("table", repr(error))

    def order(self, fields):
        """Do ASK or a later type of command: 0, or why not; None: it has no answer."""
        kind = fields[k.TYPE]
        try:
            if kind == k.ASK:
                return 0 if self._asking("ask", tuple(fields[k.ALARM_NAME]), fields[k.ASK_MS]) else NOT_SAVED
            if kind == k.PAIR:
                from kanhu_hub import pairing as rare
            elif kind == k.SURVEY_FOR:
                from kanhu_hub import survey as rare  # type: ignore[no-redef]
            else:
                from kanhu_hub import update as rare  # type: ignore[no-redef]
            return rare.command(self, fields)
        except Exception as error:
            print("order", repr(error))
            return NOT_SAVED

    def _prove(self, now):
        from kanhu_hub import proof

        self.proof_ms = proof.step(self)
        if self.proof_ms - now > _TICK_MS:
            del proof
            drop("kanhu_hub.proof")

    def down(self, data):
        """A link's down message: whether a host said it."""
        before = self.downlink.heard_ms
        self.downlink.take(data)
        self.indicator.look()
        return self.downlink.heard_ms != before

    def reached(self):
        """Whether a host has proved to be there within three heartbeats."""
        heard = self.downlink.heard_ms
        limit = self.heartbeat.every_ms * 33 // 10 + _MARGIN_MS
        return heard is not None and self.clock.now_ms() - heard < limit

    def shown(self):
        """The lamp's pattern now."""
        name = self.alarms.shown() or (self.pairing and self.pairing.lamp())
        if name:
            return name
        if not self.reached():
            return "cannot_tell"
        return "fault" if self.faults.standing() else "well"

    def state(self):
        """Fields of a heartbeat."""
        way = self.courier.preferred()
        last = self.downlink.last
        radio = self.board.radio
        refused = self.downlink.refused[:]
        refused[2] += sum([one.link.refused() for one in self.courier.ways])
        fields = {
            k.RESET: self.reset,
            k.LINK: way.number if way else 0,
            k.OUTBOX: self.outbox.counts(),
            k.DROPS: self.outbox.drops[:],
            k.RADIO: radio.report() if radio else [0, 0],
            k.FIRMWARE: self.firmware,
            k.POWER: [self.faults.mains, None],
            k.VERSIONS: [self.config.version, self.devices.version],
            k.DOWNLINK: list(last) if last else None,
            k.REFUSED: refused,
        }
        outbox = self.outbox
        faults = [
            self.supervisor.crashes,
            radio.overflows if radio else 0,
            outbox.corrupt + outbox.bulk.corrupt,
        ]
        if any(faults):
            fields[k.FAULTS] = faults
        if way and way.number == 1:
            fields[k.RSSI] = way.link.rssi()
        return fields

    async def tick(self, beat):
        """The regular round: losses, alarms, faults, heartbeat, clock."""
        while True:
            beat()
            if self.outbox.thinned:
                from kanhu_hub import losses

                thinned = sorted(self.outbox.thinned)
                self.outbox.thinned.clear()
                losses.report(self.recorder, losses.spans(thinned), losses.THINNED)
                drop("kanhu_hub.losses")
            if self.alarms.asks:
                self._asking("tick")
            self.alarms.tick()
            now = self.clock.now_ms()
            if self.pairing:
                self.pairing.tick()
            elif "kanhu_hub.pairing" in sys.modules:
                drop("kanhu_hub.pairing")
            if self.proof_ms is not None and now >= self.proof_ms:
                self._prove(now)
            self.faults.tick()
            self.heartbeat.tick()
            if self.reached():  # a wrong time that keeps the host away must not stay
                self.clock.keep_floor()
            await self.clock.sleep_ms(_TICK_MS)


def main():
    """Start the hub on this board; Ctrl-C ends it and leaves the REPL, and the watchdog brings it back."""
    from kanhu_hub.board import Board

    board = Board()
    try:
        asyncio.run(App(board).run())
    except (NotProvisioned, KeyboardInterrupt) as error:
        from kanhu_hub import resting

        resting.begin(board, log, error.args)
    except Exception as error:
        # Nothing else caught it: the watchdog starts the hub again.
        board.watchdog(WATCHDOG_MS)
        sys.print_exception(error)
        board.nvs.set_i32("reset", OUT_OF_MEMORY if isinstance(error, MemoryError) else TASK_FAILED)
    finally:
        asyncio.new_event_loop()
