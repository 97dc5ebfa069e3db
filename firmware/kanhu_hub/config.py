"""The hub's settings out of NVS, with a default for each that is absent."""

from kanhu_protocol import cbor


def _number(value):
    return isinstance(value, int) and value is not True and value is not False and value >= 0


def _text(value):
    return isinstance(value, str) and value


def _host(value):
    return isinstance(value, list) and len(value) > 1 and _text(value[0]) and _number(value[1])


def _wifi(value):
    return isinstance(value, list) and len(value) == 2 and _text(value[0]) and isinstance(value[1], str)


def _links(value):
    return isinstance(value, list) and all(item in ("mqtt", "serial") for item in value)


def _inputs(value):
    # [device, pin] or [device, pin, ADC pin or null]
    return isinstance(value, list) and all(
        isinstance(row, list)
        and len(row) in (2, 3)
        and all(_number(item) for item in row[:2])
        and 0 < row[0] < 256
        and (row[-1] is None or _number(row[-1]))
        for row in value
    )


class Config:
    """The keys of contracts.md, section 6, and hub_id; `wrong` names what was not usable."""

    def __init__(self, hub_id, raw):
        self.hub_id = hub_id
        self.wrong = []
        self._given = {}
        if raw:
            try:
                self._given = cbor.loads(raw)
            except ValueError:
                self.wrong.append("config")
            if not isinstance(self._given, dict):
                self._given = {}
                self.wrong.append("config")
        take = self._take
        self.wifi = take("wifi", _wifi, None)
        self.broker = take("broker", lambda value: _host(value) and len(value) == 4, None)
        self.links = take("links", _links, ["mqtt", "serial"])  # in order of preference
        self.ntp = take("ntp", lambda value: _host(value) and len(value) == 2, None)
        # Default pins exist on ESP32-S3 and ESP32 alike and carry neither flash, USB nor the console.
        self.buttons = take("buttons", _inputs, [[1, 4, None]])
        self.pirs = take("pirs", _inputs, [[2, 13]])
        self.lamp = take("lamp", _number, 2)
        self.buzzer = take("buzzer", _number, 15)
        self.mains = take("mains", _number, None)
        self.heartbeat = take("heartbeat", lambda value: _number(value) and value >= 5, 300)  # seconds
        self.version = take("version", _number, 0)
        self._given = {}

    def _take(self, name, check, default):
        value = self._given.get(name)
        if value is None:
            return default
        if not check(value):
            self.wrong.append(name)
            return default
        return value
