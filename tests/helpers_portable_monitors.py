# What the monitors' parsers say of bytes, on CPython and on MicroPython alike: no pytest, no typing here.
import json
import random

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


def attack(path, runs, seed):
    # Spoil the file's cases at random; whatever is not ValueError goes through and fails the run.
    random.seed(seed)
    with open(path) as file:
        cases = [
            (int(uuid, 16), bytes.fromhex(data)) for uuid, data, _ in json.load(file) if "FLOAT" not in uuid
        ]
    accepted = 0
    for _ in range(runs):
        uuid, data = random.choice(cases)
        data = bytearray(data)
        for _ in range(random.getrandbits(2)):
            if data:
                data[random.randint(0, len(data) - 1)] = random.getrandbits(8)
        data = bytes(data[: random.randint(0, len(data))] if random.getrandbits(2) else data)
        try:
            if uuid in OF:
                OF[uuid].parse(uuid, data, random.getrandbits(5))
            else:
                clock.decode(data)
            accepted += 1
        except ValueError:
            pass
    print(accepted)
