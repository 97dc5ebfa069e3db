# Sent over the REPL to a board that was flashed: what it is, what it holds, what of it works.
import gc
import json
import os
import struct
import sys
import time
from binascii import crc32, hexlify
from hashlib import sha256

_SLOTS = ("/a", "/b", "/safe")
_SPANS_MAX = 200
_STARTS = 255 << 12  # in NVS i32 "slot" (docs/contracts.md, section 13)


def _tried(what, *args):
    try:
        return what(*args)
    except Exception as error:
        return "failed: %r" % error


def _hex(data):
    return hexlify(data).decode()


def _nvs():
    from esp32 import NVS

    return NVS("kanhu")


def _blob(key, size):
    found = bytearray(size)
    try:
        return bytes(found[: _nvs().get_blob(key, found)])
    except OSError:
        return b""


def _number(key):
    try:
        return _nvs().get_i32(key)
    except OSError:
        return 0


def slot():
    """The folder the application runs from; None without one."""
    for path in sys.path:
        if path in _SLOTS:
            return path


def firmware():
    """The version that runs."""
    from kanhu_hub import app

    for name in dir(app):  # the build gives it another ending where two modules have the name
        value = getattr(app, name)
        if name.startswith("FIRMWARE") and isinstance(value, str):
            return value


def files(top):
    """[[path, size, SHA-256 in hex], ..] of a folder, or of one file, by path."""
    found = []
    folders = [top]
    while folders:
        path = folders.pop()
        mode = os.stat(path)[0]
        if mode & 0x4000:
            folders += [path + "/" + name for name in os.listdir(path)]
            continue
        digest = sha256()
        size = 0
        with open(path, "rb") as file:
            while True:
                data = file.read(1024)
                if not data:
                    break
                size += len(data)
                digest.update(data)
        found.append([path, size, _hex(digest.digest())])
    found.sort()
    return found


def tree(top):
    """One SHA-256 over files(top), paths without top; "" where there is nothing."""
    try:
        found = files(top)
    except OSError:
        return ""
    digest = sha256()
    for path, size, one in found:
        digest.update(("%s %d %s\n" % (path[len(top) :], size, one)).encode())
    return _hex(digest.digest())


def held(folder="/data"):
    """[[boot, first, last], ..] of events that lie in the hub's memory, and how many of them are urgent."""
    names = []
    try:
        for name in os.listdir(folder + "/urgent"):
            try:
                names.append((int(name[:8], 16), int(name[8:], 16)))
            except ValueError:
                pass
    except OSError:
        pass
    urgent = len(names)
    try:
        for name in os.listdir(folder + "/bulk"):
            with open(folder + "/bulk/" + name, "rb") as file:
                data = file.read()
            pos = 0
            while pos + 15 <= len(data):
                length, crc, cls, boot, seq = struct.unpack_from(">HIBII", data, pos)
                end = pos + 15 + length
                if end <= len(data) and 0 < cls < 6 and crc32(data[pos + 6 : end]) == crc:
                    names.append((boot, seq))
                    pos = end
                else:
                    pos += 1
    except OSError:
        pass
    spans = []
    for boot, seq in sorted(names):
        if spans and spans[-1][0] == boot and spans[-1][2] >= seq - 1:
            spans[-1][2] = seq
        elif len(spans) < _SPANS_MAX:
            spans.append([boot, seq, seq])
    return {"urgent": urgent, "events": spans}


def radio():
    """Whether BLE is on, or comes on."""
    import bluetooth

    ble = bluetooth.BLE()
    ble.active(True)
    return bool(ble.active())


def wifi():
    """Whether there is a Wi-Fi station that comes on."""
    import network

    station = network.WLAN(network.STA_IF)
    station.active(True)
    return bool(station.active())


def pin(number):
    """Whether the board has this pin."""
    import machine

    machine.Pin(number, machine.Pin.IN).value()
    return True


def clock():
    """ms that went by while 50 ms were slept."""
    before = time.ticks_ms()
    time.sleep_ms(50)
    return time.ticks_diff(time.ticks_ms(), before)


def who():
    """What the board is, without its secrets."""
    key = _blob("key", 16)
    return {
        "hub": _blob("hub_id", 10).decode(),
        "generation": _number("generation"),
        "key": _hex(sha256(b"kanhu key 1\n" + key).digest()[:8]) if key else "",
        "boot": _number("boot"),
        "firmware": _tried(firmware),
        "slot": slot(),
    }


def look():
    """One JSON line: who it is, and what it holds."""
    _stay()
    facts = who()
    facts["held"] = _tried(held)
    print(json.dumps(facts))


def run(pins=()):
    """One JSON line: who it is, and how it is."""
    import machine

    _stay()
    facts = who()
    volume = os.statvfs("/")
    facts["mac"] = _tried(lambda: _hex(machine.unique_id()))
    facts["held"] = _tried(held)
    facts["trees"] = {top: tree(top) for top in (slot() or "/a", "/safe", "/boot.py", "/main.py")}
    facts["flash_free"] = volume[1] * volume[3]
    facts["flash_size"] = volume[1] * volume[2]
    gc.collect()
    facts["heap_free"] = gc.mem_free()
    facts["radio"] = _tried(radio)
    facts["wifi"] = _tried(wifi)
    facts["pins"] = {str(number): _tried(pin, number) for number in pins}
    facts["clock_ms"] = _tried(clock)
    facts["reset_cause"] = machine.reset_cause()
    print(json.dumps(facts))


def passed():
    """These short starts were ours: boot.py does not count them as crashes of the application."""
    before = _number("slot")
    after = before & ~_STARTS
    if after != before:
        nvs = _nvs()
        nvs.set_i32("slot", after)
        nvs.commit()
    print("{}")


def _stay():
    # The watchdog of a board whose hub was stopped brings it back in 30 s.
    import machine

    machine.WDT(timeout=120000)
