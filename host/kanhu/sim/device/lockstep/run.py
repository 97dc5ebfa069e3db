# A hub in lock-step with a world: KANHU_WORLD is a JSON object made by kanhu.sim.world.hub.
import asyncio
import binascii
import builtins
import gc
import io
import json
import os
import random
import sys

import board as boards
import flash as flashes
import wire

conf = json.loads(os.getenv("KANHU_WORLD"))
# As boot.py does, without which the heap falls to pieces; less often where whole days go by.
gc.threshold(65536 if conf["slack_ms"] else 8192)
sys.path.insert(1, conf["lib"])
random.seed(conf["seed"])
wire.begin(conf["fd"], conf["now"], conf["slack_ms"])

flash = flashes.Flash(conf["flash"], conf["blocks"], conf["worn"])
flashes.mount(flash, conf["fresh"])
flashes.state(flash, conf["flash_state"])
flash.left = conf["cut_after"]

from kanhu_hub import app as firmware  # noqa: E402

SNTP = 1
CALL, CLOCK_SET, DEVICE, COUNT, ALARM = conf["kinds"]  # the firmware as shipped holds no table of them


def log(*words):
    wire.say(b"L", " ".join([str(word) for word in words]).encode())


class Hub(firmware.App):
    def emit(self, kind, fields):
        saved = super().emit(kind, fields)
        if kind == CALL:  # somebody pressed, and the hub has it in flash, or not
            wire.say(b"P", b"%d %d %d" % (fields.get(DEVICE, 0), fields.get(COUNT, 1), bool(saved)))
        return saved


def watch(recorder):
    """Say each event that is given an identity, once flash has it or has refused it."""
    record = recorder.record

    def watched(kind, fields):
        name, saved = record(kind, fields)
        if name:
            alarm = fields.get(ALARM)
            count = fields.get(COUNT, 1) or 1
            row = [kind, name[0], name[1], int(saved), list(alarm) if alarm else None, count]
            wire.say(b"E", json.dumps(row).encode())
        return name, saved

    recorder.record = watched


def nvs_values(given):
    values = {}
    for key, value in given.items():
        values[key] = binascii.unhexlify(value) if isinstance(value, str) else value
    return values


builtins.print = log
nvs = boards.Nvs(nvs_values(conf["nvs"]), flash)
board = boards.Board(nvs, conf["tick_start"], conf["wifi"], conf["sntp_ms"], conf["cause"], conf["radio"])
board.driven = conf["driven"]
wire.handlers[b"f"] = lambda data: flashes.state(flash, data.decode())


def cut(data):
    flash.left = int(data)


def clock(data):
    # As kanhu_hub.ntp does with an answer that comes now.
    board._clocked(data)
    if data and hub.clock.set(wire.now + int(data), SNTP):
        hub.recorder.record(CLOCK_SET, {})


wire.handlers[b"q"] = cut
try:
    hub = Hub(board, "/flash/data")
    wire.handlers[b"t"] = clock
    watch(hub.recorder)
    asyncio.run(hub.run())
    wire.die("ended")
except BaseException as error:
    text = io.StringIO()
    sys.print_exception(error, text)
    wire.die("crash", text.getvalue())
