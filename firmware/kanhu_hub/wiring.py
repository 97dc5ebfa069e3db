"""Puts the hub together: board in, rooms joined to each other. Needed at the start only, then dropped:
no function made here may live on, because it would keep this module on the heap."""

import asyncio
from binascii import crc32

from kanhu_hub import recall, store
from kanhu_hub.alarm import Alarms
from kanhu_hub.ccm import Ccm
from kanhu_hub.clock import Clock
from kanhu_hub.config import read
from kanhu_hub.courier import Courier
from kanhu_hub.devices import Devices
from kanhu_hub.downlink import Downlink
from kanhu_hub.faults import Faults
from kanhu_hub.heartbeat import Heartbeat
from kanhu_hub.indicator import Indicator
from kanhu_hub.outbox import Outbox
from kanhu_hub.recorder import Recorder
from kanhu_hub.supervisor import Supervisor
from kanhu_protocol import kinds as k


def assemble(app, board, folder, log, make_links=None):
    """Every room of the hub, in app.App's order."""
    nvs = board.nvs
    hub_id = nvs.blob("hub_id").decode()
    config = read(hub_id, nvs.blob("config"))
    for name in config.wrong:
        log("config: %s is not usable, its default is used" % name)
    clock = Clock(board, nvs)
    outbox = Outbox(folder)
    # Flash may remember more boots than an NVS that was erased: an identity must never come twice.
    boot = max(nvs.i32("boot", 0), outbox.last[0]) + 1
    try:
        nvs.set_i32("boot", boot)
    except OSError as error:
        log("NVS does not take the boot counter: %r" % error)
        # Then flash keeps it. When that fails too there is no identity to be had: the hub starts again.
        store.replace(folder + "/boot", boot.to_bytes(4, "big") + bytes(4))
    reset = nvs.i32("reset", 0) or board.reset_cause()
    aead = Ccm(nvs.blob("key"))
    generation = nvs.i32("generation", 1)
    devices = Devices(folder + "/devices")
    recorder = Recorder(aead, generation, hub_id, boot, clock, outbox)
    links = make_links(board, config, boot, clock) if make_links else _links(board, config, boot, clock, log)
    courier = Courier(links, outbox, clock, app.down)
    recorder.on_new = courier.new
    alarms = Alarms(folder + "/alarms", recorder, outbox, clock, courier, app.reached)
    downlink = Downlink(aead, generation, hub_id, recorder, outbox, alarms, devices, clock)
    downlink.on_receipt = courier.progress
    downlink.on_stale = courier.stale
    downlink.on_order = app.order
    devices.on_change = app.changed
    config.dead = []  # devices whose pin is not usable
    lamp = _make(config, log, 0, board.output, config.lamp)
    buzzer = _make(config, log, 0, board.output, config.buzzer)
    indicator = Indicator(lamp, buzzer, app.shown, clock, log)
    mains = None if config.mains is None else _make(config, log, 0, board.input, config.mains, False)
    faults = Faults(app.emit, outbox, clock, mains, nvs)
    heartbeat = Heartbeat(recorder, clock, config.heartbeat, board.rng, app.state)
    supervisor = Supervisor(board, clock, log)
    return (
        config,
        clock,
        outbox,
        devices,
        recorder,
        courier,
        alarms,
        downlink,
        indicator,
        faults,
        heartbeat,
        supervisor,
        reset,
    )


def _make(config, log, device, make, *args):
    # One wrong pin must not cost the hub its other inputs.
    try:
        return make(*args)
    except Exception as error:
        log("device %d: %s is not usable: %r" % (device, args, error))
        if device not in config.dead:
            config.dead.append(device)
        return None


def _links(board, config, boot, clock, log):
    links: list = []
    for name in config.links:
        net = board.network(config, log) if name == "mqtt" and config.broker else None
        if net:
            from kanhu_hub.links.mqtt import MqttLink

            if config.tls:
                from kanhu_hub.links.tls import Tls

                net = Tls(net, config.broker[0], board.nvs, clock, config.ca)
            links.append(MqttLink(config, net, clock, board.rng, log))
        elif name == "serial":
            from kanhu_hub.links.serial import SerialLink

            links.append(SerialLink(config.hub_id, boot, board.console(), clock))
        elif name == "ble" and board.radio:
            from kanhu_hub.links.ble import BleLink

            links.append(BleLink(config.hub_id, boot, board.radio, clock))
    return links


def start(app, log, drop):
    """Record the boot and start every task."""
    versions = [app.config.version, app.devices.version]
    from kanhu_hub import believed, trial

    slot = trial.places(app.board.nvs)
    fields = {k.RESET: app.reset, k.FIRMWARE: app.firmware, k.VERSIONS: versions, k.SLOT: slot}
    if app.outbox.last[0]:
        fields[k.PREVIOUS] = list(app.outbox.last)
    open_alarms = recall.load(app.alarms, app.recorder, app.outbox, app.clock)
    app.recorder.record(k.BOOT, fields)
    nvs = app.board.nvs
    if nvs.i32("reset", 0):  # a power cut before this says it twice, but cannot lose it
        try:
            nvs.set_i32("reset", 0)
        except OSError:
            pass
    boot = app.recorder.boot
    if nvs.i32("boot", 0) < boot:
        # The boot counter stands on flash: no receipt for an older event may write less there.
        app.outbox.last = max(app.outbox.last, (boot, 0))
    log("hub %s boot %d, %d alarms open" % (app.config.hub_id, app.recorder.boot, open_alarms))
    damaged = app.outbox.corrupt + app.outbox.bulk.corrupt
    if damaged:
        log("outbox: %d files held damaged events, which are left out" % damaged)
    add = app.supervisor.add
    courier, faults = app.courier, app.faults
    add("indicator", app.indicator.run, 5000)
    for way in courier.ways:
        name = way.link.name
        add(name + " urgent", courier.urgent, 120000, way)
        add(name + " bulk", courier.bulk, 120000, way)
        add(name + " down", courier.receive, 0, way)
        if way.number == 3:
            add("ble", way.link.run, 0, way, courier, app.downlink)
    add("links", courier.watch, 10000, faults.link_lost, faults.link_back)
    add("tick", app.tick, 10000)
    _inputs(app, add, log)
    app.changed()
    if app.devices.version and not any(10 < row[1] < 17 for row in app.devices.all()):
        # A power cut kept the collector from forgetting the last monitor's bond.
        for what in (".bonds", ".monitors"):
            store.remove(app.devices.path + what)
    if app.config.proof:
        # Not all of a town's hubs in one minute after a power cut.
        app.proof_ms = min(app.config.proof, 600 + crc32(app.config.hub_id.encode()) % 256) * 1000
    for device in app.config.dead:
        app.emit(k.LINE_FAULT, {k.DEVICE: device or None, k.DETAIL: 1})
    for row in [(0,)] + app.config.buttons + app.config.pirs:
        # A supervised line says it itself.
        if row[0] not in app.config.dead and (not row[2:] or row[2] is None):
            app.emit(k.LINE_OK, {k.DEVICE: row[0] or None})
    if len(courier.ways) < len(app.config.links):  # a link lacks its settings
        app.commission()
    if app.config.ntp and app.board.network(app.config, log):
        from kanhu_hub import ntp

        add("ntp", ntp.keep, 0, app, log, drop)
    drop("kanhu_hub.board.networks")
    asyncio.create_task(believed.wait(app, drop))  # noqa: RUF006  MicroPython's loop holds it
    trial.begin(app)


def _inputs(app, add, log):
    board, config, emit, clock = app.board, app.config, app.emit, app.clock
    for row in config.buttons:
        from kanhu_hub.inputs.call_button import CallButton

        adc = None
        if row[2:] and row[2] is not None:
            adc = _make(config, log, row[0], board.adc, row[2])
        pin = _make(config, log, row[0], board.input, row[1], True)
        if pin:
            button = app.buttons[row[0]] = CallButton(pin, row[0], emit, clock, adc)
            add("button %d" % row[0], button.run, 0)
    if config.cancel is not None:
        from kanhu_hub.inputs.call_button import CallButton

        pin = _make(config, log, 0, board.input, config.cancel, True)
        if pin:
            add("cancel", CallButton(pin, 0, app.cancel, clock).run, 0)
    for row in config.pirs:
        from kanhu_hub.inputs.pir import Pir

        # Pulled up, so that a cut wire reads as motion without end, which is a fault.
        pin = _make(config, log, row[0], board.input, row[1], True)
        if pin:
            add("pir %d" % row[0], Pir(pin, row[0], emit, clock, config.pir_warm_up * 1000).run, 0)
    if board.radio:
        from kanhu_hub.inputs.advertisements import Advertisements

        _make(config, log, 0, board.radio.start)
        app.radio = Advertisements(board.radio, app.devices, emit, clock)
        add("radio", app.radio.run, 0)
