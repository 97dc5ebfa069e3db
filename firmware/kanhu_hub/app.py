"""The hub put together: board in, rooms wired to each other, tasks started."""

import asyncio

from micropython import const

from kanhu_hub import losses
from kanhu_hub.alarm import KINDS, Alarms
from kanhu_hub.ccm import Ccm
from kanhu_hub.clock import SNTP, Clock
from kanhu_hub.config import Config
from kanhu_hub.courier import Courier
from kanhu_hub.devices import Devices
from kanhu_hub.downlink import Downlink
from kanhu_hub.faults import Faults
from kanhu_hub.heartbeat import Heartbeat
from kanhu_hub.indicator import Indicator
from kanhu_hub.outbox import Outbox
from kanhu_hub.recorder import Recorder
from kanhu_hub.supervisor import WATCHDOG_MS, Supervisor
from kanhu_protocol import kinds as k

FIRMWARE = "0.1.0"

_TICK_MS = const(250)
_MARGIN_MS = const(15000)  # a receipt's way back, beside three heartbeats with their jitter
_NTP_OK_MS = const(3600000)
_NTP_AGAIN_MS = const(60000)


def log(text):
    """One line of the hub's log, on the console between frames."""
    print("kanhu:", text)


class App:
    """App(board).run() is the hub; board is kanhu_hub.board.Board or a stand-in with its shape."""

    def __init__(self, board, folder="/data"):
        nvs = board.nvs
        hub_id, key = nvs.blob("hub_id"), nvs.blob("key")
        generation = nvs.i32("generation", 1)
        if not hub_id or not key or len(key) != 16:
            raise ValueError("not provisioned: run kanhu provision")
        hub_id = hub_id.decode()
        self.board = board
        self.config = config = Config(hub_id, nvs.blob("config"))
        for name in config.wrong:
            log("config: %s is not usable, its default is used" % name)
        self.clock = clock = Clock(board, nvs)
        self.outbox = outbox = Outbox(folder)
        # Flash may remember more boots than an NVS that was erased: an identity must never come twice.
        self.previous = outbox.last
        boot = max(nvs.i32("boot", 0), self.previous[0]) + 1
        nvs.set_i32("boot", boot)
        self.reset = nvs.i32("reset", 0) or board.reset_cause()
        if nvs.i32("reset", 0):
            nvs.set_i32("reset", 0)
        aead = Ccm(key)
        self.devices = Devices(folder + "/devices")
        self.recorder = recorder = Recorder(aead, generation, hub_id, boot, clock, outbox)
        self.courier = Courier(self._links(boot), outbox, clock, self._down)
        self.alarms = Alarms(folder + "/alarms", recorder, outbox, clock, self.courier, self.reached)
        recorder.on_new = self.courier.new
        self.downlink = Downlink(aead, generation, hub_id, recorder, outbox, self.alarms, self.devices, clock)
        self.downlink.on_receipt = self.courier.progress
        self.indicator = Indicator(
            board.output(config.lamp), board.output(config.buzzer), self.shown, clock, log
        )
        self.faults = Faults(
            self.emit, outbox, clock, board.input(config.mains, False) if config.mains else None
        )
        self.heartbeat = Heartbeat(recorder, clock, config.heartbeat, board.rng, self.state)
        self.supervisor = Supervisor(board, clock, lambda cause: nvs.set_i32("reset", cause), log)

    def _links(self, boot):
        links: list = []
        config = self.config
        for name in config.links:
            if name == "mqtt" and config.broker and config.wifi:
                from kanhu_hub.links.mqtt import MqttLink

                links.append(MqttLink(config, self.board.wifi(*config.wifi), self.clock, self.board.rng))
            elif name == "serial":
                from kanhu_hub.links.serial import SerialLink

                links.append(SerialLink(config.hub_id, boot, self.board.console(), self.clock))
        return links

    def emit(self, kind, fields):
        """An input's fact: True when flash has it."""
        if kind in KINDS:
            return self.alarms.raised(kind, fields)
        self.faults.seen(kind, fields.get(k.DEVICE, 0))
        return self.recorder.record(kind, fields)[1]

    def _down(self, data):
        self.downlink.take(data)

    def reached(self):
        """Whether a host has proved to be there within three heartbeats."""
        heard = self.downlink.heard_ms
        limit = self.heartbeat.every_ms * 33 // 10 + _MARGIN_MS
        return heard is not None and self.clock.now_ms() - heard < limit

    def shown(self):
        """The lamp's pattern now."""
        name = self.alarms.shown()
        if name:
            return name
        if not self.reached():
            return "cannot_tell"
        return "fault" if self.faults.standing() else "well"

    def state(self):
        """Fields of a heartbeat."""
        way = self.courier.preferred()
        last = self.downlink.last
        fields = {
            k.RESET: self.reset,
            k.LINK: way.number if way else 0,
            k.OUTBOX: self.outbox.counts(),
            k.DROPS: self.outbox.drops[:],
            k.RADIO: self.board.radio.report() if self.board.radio else [0, 0],
            k.FIRMWARE: FIRMWARE,
            k.POWER: [self.faults.mains, None],
            k.VERSIONS: [self.config.version, self.devices.version],
            k.DOWNLINK: list(last) if last else None,
            k.REFUSED: self.downlink.refused[:],
        }
        if way and way.number == 1:
            fields[k.RSSI] = way.link.rssi()
        return fields

    async def _tick(self, beat):
        while True:
            beat()
            thinned = sorted(self.outbox.thinned)
            if thinned:
                self.outbox.thinned.clear()
                losses.report(self.recorder, losses.spans(thinned), losses.THINNED)
            self.alarms.tick()
            self.faults.tick()
            self.heartbeat.tick()
            self.clock.keep_floor()
            await self.clock.sleep_ms(_TICK_MS)

    async def _ntp(self, beat):
        wifi = self.board.wifi(*self.config.wifi)
        while True:
            wait_ms = _NTP_AGAIN_MS
            if wifi.up():
                try:
                    utc_ms = await self.board.sntp(*self.config.ntp)
                    if self.clock.set(utc_ms, SNTP):
                        self.recorder.record(k.CLOCK_SET, {})
                    wait_ms = _NTP_OK_MS
                except OSError as error:
                    log("ntp: %r" % error)
            else:
                wait_ms = 1000
            await self.clock.sleep_ms(wait_ms)

    def _inputs(self):
        board, config = self.board, self.config
        for row in config.buttons:
            from kanhu_hub.inputs.call_button import CallButton

            adc = board.adc(row[2]) if row[2:] and row[2] is not None else None
            button = CallButton(board.input(row[1], True), row[0], self.emit, self.clock, adc)
            self._add("button %d" % row[0], button.run)
        for row in config.pirs:
            from kanhu_hub.inputs.pir import Pir

            self._add("pir %d" % row[0], Pir(board.input(row[1], False), row[0], self.emit, self.clock).run)
        if board.radio:
            from kanhu_hub.inputs.advertisements import Advertisements

            board.radio.start()
            self._add("radio", Advertisements(board.radio, self.devices, self.emit, self.clock).run)

    def _add(self, name, run):
        self.supervisor.add(name, lambda beat: run())

    def start(self):
        """Record the boot and start every task."""
        open_alarms = self.alarms.load()
        fields = {
            k.RESET: self.reset,
            k.FIRMWARE: FIRMWARE,
            k.VERSIONS: [self.config.version, self.devices.version],
        }
        if self.previous[0]:
            fields[k.PREVIOUS] = list(self.previous)
        self.recorder.record(k.BOOT, fields)
        log("hub %s boot %d, %d alarms open" % (self.config.hub_id, self.recorder.boot, open_alarms))
        add = self.supervisor.add
        add("indicator", self.indicator.run, 5000)
        for way in self.courier.ways:
            name = way.link.name
            add(name + " urgent", lambda beat, way=way: self.courier.urgent(way, beat), 120000)
            add(name + " bulk", lambda beat, way=way: self.courier.bulk(way, beat), 120000)
            add(name + " down", lambda beat, way=way: self.courier.receive(way, beat))
        add(
            "links",
            lambda beat: self.courier.watch(beat, self.faults.link_lost, self.faults.link_back),
            10000,
        )
        add("tick", self._tick, 10000)
        self._inputs()
        if self.config.ntp and self.config.wifi:
            add("ntp", self._ntp)

    async def run(self):
        """Be a hub, for ever."""
        self.board.watchdog(WATCHDOG_MS)
        self.start()
        await self.supervisor.run()


def main():
    """Start the hub on this board; Ctrl-C ends it and leaves the REPL, and the watchdog brings it back."""
    from kanhu_hub.board import Board
    from kanhu_hub.supervisor import RESTING_MS

    board = Board()
    try:
        app = App(board)
    except ValueError as error:
        log(str(error))
        return
    try:
        asyncio.run(app.run())
    except KeyboardInterrupt:
        board.watchdog(RESTING_MS)
        log("stopped; Ctrl-D starts the hub again, and so does the watchdog in %d s" % (RESTING_MS // 1000))
    finally:
        asyncio.new_event_loop()
