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
        self.foreign = self.encrypted = self.malformed = 0  # advertisements since boot

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
                            self._heard(sensor, rssi, data)
                except Exception as error:
                    print("radio", repr(error))
                    await self.clock.sleep_ms(_WATCH_MS)
        finally:
            watch.cancel()

    def _heard(self, sensor, rssi, data):
        service = bthome.service_data(data)
        if service is None:
            pass
        elif not bthome.version_2(service):
            self.malformed += 1
        elif service[0] & bthome.ENCRYPTED:
            self.encrypted += 1
        elif not sensor.read(rssi, service):
            self.malformed += 1
        sensor.alive()

    async def _watch(self):
        last = self.clock.ticks_ms()
        while True:
            now = self.clock.ticks_ms()
            ms = self.clock.ticks_diff(now, last)
            last = now
            known = self.sensors
            self.sensors = {}  # what the table has now, and no more
            for entry in self.devices.all():
                try:
                    device, role, address, supervision_s = entry
                    if len(address) != 6:  # a wired input: it watches itself
                        continue
                    sensor = known.get(address)
                    if sensor is None or sensor.device != device or sensor.role != role:
                        sensor = Sensor(device, role, self.emit, self.clock)
                    self.sensors[address] = sensor
                    sensor.passed(ms, supervision_s)
                except Exception as error:
                    print("sensor", entry, repr(error))
            await self.clock.sleep_ms(_WATCH_MS)
