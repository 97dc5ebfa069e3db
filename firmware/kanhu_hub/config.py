"""The hub's settings out of NVS, with a default for each that is absent."""

from kanhu_protocol import cbor

# Default pins exist on ESP32-S3 and ESP32 alike and carry neither flash, USB nor the console.
_DEFAULTS = {
    "wifi": None,  # [ssid, password]
    "broker": None,  # [host, port, user, password]
    "links": ["mqtt", "serial"],  # in order of preference
    "ntp": None,  # [host, port]
    "buttons": [[1, 4, None]],  # [device, pin, ADC pin of the supervised line or null]
    "pirs": [[2, 13]],  # [device, pin]
    "lamp": 2,
    "buzzer": 15,
    "mains": None,
    "heartbeat": 300,  # seconds
    "version": 0,
}


def _pair(value):
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0]


def _pins(size):
    def check(value):
        return isinstance(value, list) and all(
            isinstance(row, list)
            and len(row) == size
            and all(_number(item) for item in row[:2])
            and 0 < row[0] < 256
            and (row[-1] is None or _number(row[-1]))
            for row in value
        )

    return check


def _number(value):
    return isinstance(value, int) and value is not True and value is not False and value >= 0


_CHECKS = {
    "wifi": lambda value: _pair(value) and isinstance(value[1], str),
    "broker": lambda value: isinstance(value, list) and len(value) == 4 and _pair(value[:2]) and _number(value[1]),
    "links": lambda value: isinstance(value, list) and all(item in ("mqtt", "serial") for item in value),
    "ntp": lambda value: _pair(value) and _number(value[1]),
    "buttons": _pins(3),
    "pirs": _pins(2),
    "heartbeat": lambda value: _number(value) and value >= 5,
}


class Config:
    """Attributes named as the keys of contracts, section 6, and hub_id; `wrong` names what was not usable."""

    def __init__(self, hub_id, raw):
        self.hub_id = hub_id
        self.wrong = []
        given = {}
        if raw:
            try:
                given = cbor.loads(raw)
                if not isinstance(given, dict):
                    raise ValueError
            except ValueError:
                self.wrong.append("config")
                given = {}
        for name, default in _DEFAULTS.items():
            value = given.get(name, default)
            if value is not default and value is not None and not _CHECKS.get(name, _number)(value):
                self.wrong.append(name)
                value = default
            setattr(self, name, default if value is None else value)
