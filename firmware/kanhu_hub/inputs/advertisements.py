"""BLE advertisements of the sensors in the device table."""

import asyncio

from micropython import const

from kanhu_hub.inputs import bthome
from kanhu_hub.inputs.sensor import Sensor

_WATCH_MS = const(1000)


class Advertisements:
    """Hears radio.heard() for devices.find(address); emit(kind, fields) gets the events."""

    def __init__(self, radio, devices, emit, clock):
        self.radio = radio
        self.devices = devices
        self.emit = emit
        self.clock = clock
        self.sensors = {}  # by address, never more than the table has
        self.foreign = self.encrypted = self.malformed = 0  # advertisements since boot

    async def run(self):
        """Never returns; an error is logged and the next advertisement read."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    for address, rssi, data in await self.radio.heard():
                        entry = self.devices.find(address)
                        if entry is None:
                            self.foreign += 1
                        else:
                            self._heard(self._sensor(bytes(address), entry), rssi, data)
                except Exception as error:
                    print("radio", repr(error))
                    await self.clock.sleep_ms(_WATCH_MS)
        finally:
            watch.cancel()

    def _sensor(self, address, entry):
        sensor = self.sensors.get(address)
        if sensor is None or (sensor.device, sensor.role) != entry[:2]:
            sensor = self.sensors[address] = Sensor(entry[0], entry[1], self.emit, self.clock)
        return sensor

    def _heard(self, sensor, rssi, data):
        sensor.alive()
        service = bthome.service_data(data)
        if service is None:
            return
        if not bthome.version_2(service):
            self.malformed += 1
        elif service[0] & bthome.ENCRYPTED:
            self.encrypted += 1
        elif not sensor.read(rssi, service):
            self.malformed += 1

    async def _watch(self):
        last = self.clock.ticks_ms()
        while True:
            await self.clock.sleep_ms(_WATCH_MS)
            ms = self.clock.ticks_diff(self.clock.ticks_ms(), last)
            last = self.clock.ticks_ms()
            try:
                for address in list(self.sensors):
                    if self.devices.find(address) is None:
                        del self.sensors[address]
                for index, role, address, supervision_s in self.devices.all():
                    # One that has not spoken since the start is watched, too; wired inputs watch themselves.
                    if len(address) == 6:
                        self._sensor(bytes(address), (index, role)).passed(ms, supervision_s)
            except Exception as error:
                print("sensors", repr(error))
