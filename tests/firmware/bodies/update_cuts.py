"""An update from its order to its last commit, the power cut at many points of it; then boot.py itself, and
what the hub that it chooses can still do."""

import asyncio
import gc
import os
import sys

from fake_board import Board, Time, virtual
from fake_host import HUB, KEY, Host, Link
from power import Cut, CutNvs, Flash, Power, Watched

from kanhu_hub import app as app_module
from kanhu_hub import bulk, slots, store
from kanhu_hub.app import App
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

app_module.drop = lambda *names: None  # what is imported late stays, and is watched
from kanhu_hub import archive, ed25519, order, update  # noqa: E402

FOLDER = ""  # the host's side: old.kfw is what runs, new.kfw and newer.kfw follow; boot.py; keys
ROOT = "/flash"
POINTS = 200
WAYS = ("before", "half", "weak", "after")
CONFIG = {"heartbeat": 300, "buttons": [], "pirs": [], "proof": 0}
VERSIONS = {"old": "1.0.0", "new": "2.0.0", "newer": "3.0.0"}


def _read(name):
    with open(FOLDER + "/" + name, "rb") as file:
        return file.read()


_verify = ed25519.verify
_known = {}


async def _verified(public, message, signature, pause):
    # The same few releases are tried hundreds of times: each signature is computed once.
    asked = bytes(public) + bytes(message) + bytes(signature)
    if asked not in _known:
        _known[asked] = await _verify(public, message, signature, pause)
    await pause()
    return _known[asked]


ed25519.verify = _verified


class Chip:
    """esp32 and machine, as boot.py needs them."""

    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5

    def __init__(self, nvs):
        self._nvs = nvs
        self.cause = 1
        self.NVS = lambda space: self
        self.WDT = lambda timeout: None
        self.alloc_emergency_exception_buf = lambda size: None

    def get_i32(self, key):
        if key not in self._nvs.values:
            raise OSError(-0x1102)
        return self._nvs.values[key]

    def set_i32(self, key, value):
        self._nvs.set_i32(key, value)

    def commit(self):
        pass

    def reset_cause(self):
        return self.cause


class Life:
    """One hub: its flash, its NVS, and a host that updates it."""

    def __init__(self):
        self.power = Power()
        self.flash = Flash(self.power)
        self.nvs = CutNvs(self.power, {})
        self.chip = Chip(self.nvs)
        sys.modules["esp32"] = sys.modules["machine"] = self.chip
        for module in (store, bulk, archive, update, order):
            module.os = Watched(self.power)
            module.os.rmdir = self._rmdir
            module.open = module.os.open
        store.free = lambda folder: 1 << 20
        self.nvs.values = {"hub_id": HUB.encode(), "key": KEY, "generation": 1, "config": cbor.dumps(CONFIG)}
        self.nvs.values["release"] = _read("keys")
        self.boot_code = compile(_read("boot.py").decode(), "boot.py", "exec")
        self.number = 0

    def _rmdir(self, path):
        self.power.check()
        os.rmdir(path)

    def snapshot(self):
        return bytes(self.flash.data), dict(self.nvs.values)

    def restore(self, snapshot):
        self.flash.data[:] = snapshot[0]
        self.nvs.values = dict(snapshot[1])

    def install(self, slot, name):
        """Put a release into a slot as flashing does."""
        whole = _read(name + ".kfw")
        size = int.from_bytes(whole[4:8], "big")
        at = size + 72
        os.mkdir(ROOT + slot)
        for path, length, _ in cbor.loads(whole[8 : 8 + size], 16384)["files"]:
            for depth in range(1, len(path.split("/"))):
                try:  # noqa: SIM105  MicroPython has no contextlib
                    os.mkdir(ROOT + slot + "/" + "/".join(path.split("/")[:depth]))
                except OSError:
                    pass
            with open(ROOT + slot + "/" + path, "wb") as file:
                file.write(whole[at : at + length])
            at += length
        with open(ROOT + slot + "/manifest", "wb") as file:
            file.write(whole[: size + 72])

    def whole(self, slot):
        """Which of the releases stands in a slot, every byte of it; None: none does."""
        try:
            with open(ROOT + slots.FOLDERS[slot] + "/manifest", "rb") as file:
                head = file.read()
        except OSError:
            return None
        for name, version in VERSIONS.items():
            data = _read(name + ".kfw")
            if data[: len(head)] == head:
                at = len(head)
                for path, length, _ in cbor.loads(head[8:-64], 16384)["files"]:
                    with open(ROOT + slots.FOLDERS[slot] + "/" + path, "rb") as file:
                        assert file.read() == data[at : at + length], (name, path)
                    at += length
                return version
        return None

    def begin(self):
        """Power comes: boot.py, then the program of the slot that it chose."""
        self.power.clear()
        self.flash.mount()
        self.start()

    def start(self):
        before, real = sys.path[:], sys.modules.get("micropython")
        sys.modules["micropython"] = self.chip
        found = {}
        try:
            exec(self.boot_code, found)  # noqa: S102  the hub's own script
        finally:
            gc.threshold(-1)  # this heap is larger
            sys.path[:] = before
            del sys.modules["micropython"]
            if real:
                sys.modules["micropython"] = real
        self.slot = found["slot"]
        sys.path[0] = slots.FOLDERS[self.slot]
        self.release = self.whole(self.slot)
        assert self.release, f"slot {self.slot} is not whole: {self.nvs.values}"
        update._now = None
        time = Time()
        virtual(time)
        self.time = time
        self.links = [Link("mqtt")]
        self.board = board = Board(self.nvs, time)
        ticks = board.ticks_ms

        def ticks_ms():
            self.power.check()
            return ticks()

        board.ticks_ms = ticks_ms
        App.firmware = self.release
        self.app = App(board, ROOT + "/data", lambda *args: self.links)
        self.host = Host(self.nvs.values["boot"])
        self.host.epoch += self.host.boot
        self.heard = {}

        async def run():
            self.app.start()
            asyncio.create_task(self.app.supervisor.run())  # noqa: RUF006  MicroPython's loop holds it

        asyncio.run(run())

    def end(self):
        self.app = None
        if self.power.dead:
            gc.collect()
        self.flash.umount()

    def tell(self, kind, fields):
        self.app.downlink.take(self.host.down(kind, fields))

    def order(self, name):
        from hashlib import sha256

        self.number += 1
        self.sending = data = _read(name + ".kfw")
        digest = sha256(data).digest()
        fields = {k.NUMBER: self.number, k.RELEASE: VERSIONS[name], k.RELEASE_SIZE: len(data)}
        fields[k.RELEASE_DIGEST] = digest
        self.tell(k.UPDATE, fields)

    def serve(self, until, seconds=400):
        """Be a host, over restarts, until it has heard an event of this kind."""
        for _ in range(seconds * 5):
            try:
                asyncio.run(self.time.sleep_ms(200))
            except SystemExit:
                self.chip.cause = 2
                self.start()
                continue
            names = []
            for link in self.links:
                sent, link.sent = link.sent, []
                for _, _, payload in sent:
                    for name, event in self.host.open(payload):
                        names.append(name)
                        if name in self.heard:
                            continue
                        self.heard[name] = event
                        if event[k.KIND] == k.UPDATE_PROGRESS:
                            for at in range(
                                event[k.OFFSET], min(event[k.OFFSET] + 3600, len(self.sending)), 900
                            ):
                                piece = self.sending[at : at + 900]
                                self.tell(k.CHUNK, {k.CHUNK_OFFSET: at, k.CHUNK_DATA: piece})
            if names:
                self.tell(k.STORED, {k.SINGLE: [list(name) for name in names]})
                self.tell(k.STORED, {k.UPTO: [list(max(names))]})
                self.tell(k.DELIVERED, {k.SINGLE: [list(name) for name in names]})
            if any(event[k.KIND] == until for event in self.heard.values()):
                return
        raise AssertionError(f"never heard: {self.heard}")


def _prepared():
    life = Life()
    life.flash.format()
    life.install("/a", "old")
    life.install("/safe", "old")
    # The slot that is written has an older release in it, as from the update before.
    life.install("/b", "old")
    life.flash.umount()
    return life


def run():
    app_module.log = lambda text: None
    life = _prepared()
    life.begin()
    life.serve(k.BOOT)
    life.end()
    snapshot = life.snapshot()

    def act():
        life.begin()
        life.order("new")
        life.sending = _read("new.kfw")
        life.serve(k.UPDATE_DONE)

    act()
    operations = len(life.power.operations)
    assert life.release == VERSIONS["new"]
    life.end()
    print("operations", operations)
    ended = {}
    for n in range(POINTS):
        life.restore(snapshot)
        life.chip.cause = 1
        life.power.clear()
        cut = False
        try:
            life.flash.mount()
            life.power.way = WAYS[n % 4]
            life.power.left = operations * n // POINTS
            life.start()
            life.order("new")
            life.serve(k.UPDATE_DONE)
        except Cut:
            cut = True
        except OSError:
            cut = life.power.dead
        assert cut, n
        life.end()
        life.chip.cause = 1
        life.begin()
        first = life.slot, life.release
        ended[first] = ended.get(first, 0) + 1
        # It can call for help at once.
        saved = life.app.emit(k.CALL, {k.DEVICE: 1})
        assert saved
        (alarm,) = life.app.alarms.alarms
        life.serve(k.CALL)
        life.tell(k.ALARM_IS, {k.NUMBER: 77, k.ALARM_NAME: list(alarm.name), k.ALARM_STATE: k.CLOSED})
        # And go on, or be updated from the beginning.
        life.sending = _read("new.kfw")
        if life.release == VERSIONS["old"]:
            life.order("new")
        if life.release == VERSIONS["old"] or slots.Slots(life.nvs).trial or order.kept(life.app):
            life.serve(k.UPDATE_DONE)
        assert life.release == VERSIONS["new"]
        if n % 20 == 0:
            life.order("newer")
            life.heard = {}
            life.serve(k.UPDATE_DONE)
            assert life.release == VERSIONS["newer"]
            assert life.slot == 1
        life.end()
    for key, times in sorted(ended.items()):
        print(f"slot {key[0]}, release {key[1]}: {times} times")
    assert len(ended) == 2
