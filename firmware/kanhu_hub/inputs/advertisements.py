"""BLE advertisements of the sensors in the device table."""

import asyncio

from micropython import const

from kanhu_hub.inputs import bthome
from kanhu_hub.inputs.sensor import Sensor

_WATCH_MS = const(1000)


class Advertisements:
    """Hears radio.heard() for the sensors of devices.all(); emit(kind, fields) gets the events."""

    def __init__(self, radio, devices, emit, clock):
        self.radio = radio
        self.devices = devices
        self.emit = emit
        self.clock = clock
        self.sensors = {}  # by address: one look-up tells a neighbour's device from ours
        self.counters = None  # once a sensor encrypts
        self.pairing = None  # pairing.py, while it is open
        self._said = 0  # events of all sensors
        self.foreign = self.refused = self.malformed = 0  # advertisements since boot

    async def run(self):
        """Never returns; an error is logged and the next advertisement read."""
        watch = asyncio.create_task(self._watch())
        await self.clock.sleep_ms(0)  # so that the table is there before the first advertisement
        try:
            while True:
                try:
                    for address, rssi, data in await self.radio.heard():
                        sensor = self.sensors.get(address)
                        if sensor is None:
                            self.foreign += 1
                        else:
                            self._heard(sensor, address, rssi, data)
                        if self.pairing:
                            self.pairing.heard(address, rssi, data, sensor)
                except Exception as error:
                    print("radio", repr(error))
                    await self.clock.sleep_ms(_WATCH_MS)
        finally:
            watch.cancel()

    def _say(self, kind, fields):
        self._said += 1
        return self.emit(kind, fields)

    def _heard(self, sensor, address, rssi, data):
        guard = sensor.guard
        service = bthome.service_data(data)
        believed = not sensor.key
        if service is None:
            pass
        elif not bthome.version_2(service):
            self.malformed += 1
        else:
            if service[0] & bthome.ENCRYPTED and not guard:
                guard = self._guard(sensor, address)
            if guard:
                service = guard.open(service)
            if service is None:
                self.refused += 1
            else:
                said = self._said
                if not sensor.read(rssi, service, guard.flags if guard else 0):
                    self.malformed += 1
                if guard:
                    # After the events: a power cut between the two may double one, but cannot lose it.
                    guard.taken(self._said > said)
                believed = True
        if believed:
            sensor.alive()

    def _guard(self, sensor, address):
        from kanhu_hub.inputs.encrypted import Counters, Guard  # for homes that need it

        if not self.counters:
            self.counters = Counters(self.devices.path + ".heard", self.devices.all())
        sensor.guard = Guard(sensor, address, sensor.key, self.counters, self.emit)
        return sensor.guard

    async def _watch(self):
        last = self.clock.ticks_ms()
        while True:
            now = self.clock.ticks_ms()
            ms = self.clock.ticks_diff(now, last)
            last = now
            self.passed(ms)
            await self.clock.sleep_ms(_WATCH_MS)

    def passed(self, ms):
        """ms went by, or the table has changed."""
        known = self.sensors
        self.sensors = {}  # what the table has now, and no more
        for entry in self.devices.all():
            try:
                device, role, address, supervision_s = entry[:4]
                key = entry[4] if entry[4:] else None
                if len(address) != 6:  # a wired input: it watches itself
                    continue
                sensor = known.get(address)
                if not sensor or (sensor.device, sensor.role, sensor.key) != (device, role, key):
                    sensor = Sensor(device, role, self._say, self.clock)
                    sensor.key = key
                    if key:
                        self._guard(sensor, address)
                    if self.pairing:
                        self.pairing.met(sensor, address)
                self.sensors[address] = sensor
                sensor.passed(ms, supervision_s)
                if sensor.guard:
                    sensor.guard.passed(ms)
            except Exception as error:
                print("sensor", entry[:3], repr(error))  # not its key
        if self.counters:
            self.counters.passed(ms)
