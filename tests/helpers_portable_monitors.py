# What the monitors' parsers say of bytes, on CPython and on MicroPython alike: no pytest, no typing here.
import json

from kanhu_hub.inputs.monitors import (
    blood_pressure,
    clock,
    glucose,
    heart_rate,
    number,
    pulse_oximeter,
    thermometer,
    weight_scale,
)
from kanhu_protocol.kinds import MEASURED_S

MODULES = (blood_pressure, heart_rate, pulse_oximeter, thermometer, weight_scale, glucose)
OF = {uuid: module for module in MODULES for uuid, _ in module.CHARACTERISTICS}


def plain(fields):
    return sorted([key, value] for key, value in fields.items())


def read(uuid, data, quirks):
    # uuid in hexadecimal, or the name of a number's format
    try:
        if uuid in ("SFLOAT", "FLOAT32"):
            found = (number.sfloat if uuid == "SFLOAT" else number.float32)(data, 0)
            return list(found) if isinstance(found, tuple) else found
        uuid = int(uuid, 16)
        if uuid in (0x2A08, 0x2A2B):
            return plain({MEASURED_S: clock.decode(data)})
        return plain(OF[uuid].parse(uuid, data, quirks))
    except ValueError:
        return "refused"


def answer(path):
    # One line for each of the file's [uuid, hex, quirks].
    with open(path) as file:
        for uuid, data, quirks in json.load(file):
            print(json.dumps(read(uuid, bytes.fromhex(data), quirks)))
