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


def _apn(value):
    # It goes into a command in quotes: nothing else may ride along.
    return (
        _text(value) and len(value) < 101 and all("!" <= char <= "~" and char not in '",;' for char in value)
    )


def _modem(value):
    return isinstance(value, list) and len(value) == 4 and all(_number(item) for item in value)


def _links(value):
    return isinstance(value, list) and all(item in ("mqtt", "serial", "ble") for item in value)


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

    # No methods: an instance must not keep this module's code on the heap.
    hub_id = wrong = None


def read(hub_id, raw):
    """Config out of the CBOR map `raw` (None: all defaults)."""
    wrong = []
    given = {}
    if raw:
        try:
            given = cbor.loads(raw)
        except ValueError:
            wrong.append("config")
        if not isinstance(given, dict):
            given = {}
            wrong.append("config")

    def take(name, check, default):
        value = given.get(name)
        if value is not None and not check(value):
            wrong.append(name)
            value = None
        setattr(config, name, default if value is None else value)

    config = Config()
    for name, value in (("hub_id", hub_id), ("wrong", wrong)):
        setattr(config, name, value)
    take("wifi", _wifi, None)
    take("network", lambda value: value in ("wifi", "ppp"), "wifi")
    take("apn", _apn, "")
    take("modem", _modem, [1, 17, 18, 115200])  # UART, its TX and RX pins, baud
    take("broker", lambda value: _host(value) and len(value) == 4, None)
    take("tls", lambda _: True, False)  # whatever is not false: never plain text by a slip
    take("ca", lambda value: value in ("ca", "ca2"), "ca")  # the blob of NVS that has the CAs
    take("links", _links, ["mqtt"])  # in order of preference
    take("ntp", lambda value: _host(value) and len(value) == 2, None)
    # Default pins exist on ESP32-S3 and ESP32 alike and carry neither flash, USB nor the console.
    take("buttons", _inputs, [[1, 4, None]])
    take("pirs", _inputs, [[2, 13]])
    take("pir_warm_up", _number, 60)  # seconds
    take("lamp", _number, 2)
    take("buzzer", _number, 15)
    take("mains", _number, None)
    take("cancel", _number, None)  # the key that answers a pre-alarm
    take("fall_ask", _number, 20)  # seconds
    take("proof", _number, 86400)  # seconds
    take("heartbeat", lambda value: _number(value) and value >= 5, 300)  # seconds
    take("version", _number, 0)
    return config
