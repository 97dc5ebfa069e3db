# Runs first on every start: chooses the slot that runs. No update replaces it, so it needs nothing of any
# slot, and whatever fails in it ends in a slot all the same.
# The bits of NVS i32 "slot" are in kanhu_hub/slots.py and docs/contracts.md, section 13.
import gc
import os
import sys

import machine  # noqa: TID251  as above
import micropython

# Whatever keeps main.py from becoming a hub (a person at the REPL, a file that cannot be imported), the board
# starts again by itself.
machine.WDT(timeout=30000)
micropython.alloc_emergency_exception_buf(100)
# Collect early: what lives long then lies together, and large blocks stay free for TLS and the radio.
gc.threshold(8192)

FOLDERS = ("", "/a", "/b", "/safe")
TRIED = 15  # points: three starts that crashed, or fifteen that somebody unplugged


def whole(slot):
    try:
        os.stat(FOLDERS[slot] + "/manifest")  # it is written last, and removed first
        return True
    except OSError:
        return False


def choose():
    from esp32 import NVS  # noqa: TID251

    nvs = NVS("kanhu")

    try:
        before = nvs.get_i32("slot")
    except OSError:
        before = 0
    good, trial, why, bad = before & 3 or 1, before >> 2 & 3, before >> 4 & 15, before >> 8 & 15
    starts, rest = before >> 12 & 255, before >> 20
    cause = machine.reset_cause()
    if cause != machine.SOFT_RESET:  # that one is a person's
        # How the start before ended that has not come so far as to be believed.
        starts = starts + (1 if cause == machine.PWRON_RESET else 5) if starts else 1
    if trial and not why and (starts > TRIED or not whole(trial)):
        why, bad, starts = 5, bad | 1 << trial, 1
    elif starts > TRIED and (why or not trial):
        bad |= 1 << good
        others = [slot for slot in ((2, 3), (1, 3), (1, 2))[good - 1] if whole(slot)]
        left = [slot for slot in others if not bad >> slot & 1]
        if not left:
            bad, left = 0, others  # all have failed: once more round
        good, starts = (left or [good])[0], 1
    now = good | trial << 2 | why << 4 | bad << 8 | starts << 12 | rest << 20
    if now != before:
        try:
            nvs.set_i32("slot", now)
            nvs.commit()
        except OSError as error:
            print("kanhu: NVS does not take the slot:", error)
    return trial if trial and not why else good


try:
    slot = choose()
except Exception as error:
    print("kanhu: boot:", repr(error))
    slot = 1
sys.path.insert(0, FOLDERS[slot])
