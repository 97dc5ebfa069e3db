"""Single rooms of the hub: serial link, clock, config, heartbeat, store, SNTP-free parts."""

import asyncio
import os

from fake_board import Board, Console, Nvs, Time, virtual
from fake_host import HUB, Host

from kanhu_hub import store
from kanhu_hub.clock import HOST, JUMPED, SNTP, WENT_BACK, Clock
from kanhu_hub.config import read
from kanhu_hub.links import BULK, URGENT, LinkError
from kanhu_hub.links.serial import SerialLink
from kanhu_protocol import cbor, frame
from kanhu_protocol import kinds as k

FOLDER = ""
UTC = 1795292752000


class Wire:
    """A serial link and the host's end of its console."""

    def __init__(self):
        self.time = Time()
        virtual(self.time)
        self.console = Console()
        self.board = Board(Nvs(), self.time)
        self.link = SerialLink(HUB, 3, self.console, Clock(self.board, Nvs()))
        self.text = b""
        self.decoder = frame.Decoder(self._log)
        self.run(self.link.open())

    def _log(self, data):
        self.text += data

    def run(self, what):
        async def wrapped():
            return await what

        return asyncio.run(wrapped())

    def wait(self, ms):
        self.run(self.time.sleep_ms(ms))

    def frames(self):
        return self.decoder.feed(self.console.taken())

    def say(self, data):
        self.console.coming += data
        self.wait(50)


def test_serial_hello_on_open_every_10_s_and_in_answer():
    wire = Wire()
    wire.wait(100)
    ((kind, body),) = wire.frames()
    assert kind == frame.HELLO
    assert cbor.loads(body) == {0: 1, 1: HUB, 2: 3}
    wire.wait(30000)
    assert len(wire.frames()) == 3
    wire.say(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
    assert len(wire.frames()) == 1


def test_serial_carries_events_between_log_lines():
    wire = Wire()
    wire.wait(10)
    wire.frames()
    wire.console.write(b"kanhu: a line\r\n")
    wire.run(wire.link.send(URGENT, 1, b"\x03\x7e\x7d\x04" * 100))
    wire.console.write(b"another\r\n")
    ((kind, body),) = wire.frames()
    assert kind == frame.UP
    assert body == b"\x03\x7e\x7d\x04" * 100
    assert b"a line" in wire.text
    assert b"another" in wire.text


def test_serial_down_message_one_byte_at_a_time():
    wire = Wire()
    sealed = Host(3).down(k.PING, {k.NUMBER: 1})
    for byte in b"noise\r\n" + frame.encode(frame.DOWN, sealed) + b">>> ":
        wire.say(bytes((byte,)))
    assert wire.run(wire.link.receive()) == sealed


def test_serial_rubbish_is_counted_and_the_link_lives_on():
    wire = Wire()
    good = frame.encode(frame.DOWN, b"message")
    broken = bytearray(good)
    broken[3] ^= 1
    wire.say(bytes(broken) + good[:-4] + good + frame.encode(9, b"what") + frame.encode(frame.UP, b"echo"))
    wire.say(good)
    assert wire.run(wire.link.receive()) == b"message"
    assert wire.link.refused() == 4  # a flipped bit, a frame cut short, two of no use


def test_serial_inbox_is_bounded():
    wire = Wire()
    wire.say(b"".join([frame.encode(frame.DOWN, bytes((65 + n,))) for n in range(20)]))
    assert len(wire.link._inbox) == 8
    assert wire.link.refused() == 12


def test_serial_silent_host_is_not_connected_until_it_speaks():
    wire = Wire()
    assert wire.link.connected(BULK)
    wire.wait(100000)
    assert wire.link.connected(BULK)  # nothing was asked of it
    wire.run(wire.link.send(BULK, 5, b"\x01"))
    wire.wait(29000)
    assert wire.link.connected(BULK)
    wire.run(wire.link.send(BULK, 5, b"\x01"))
    wire.wait(2000)
    assert not wire.link.connected(BULK)
    assert not wire.link.connected(URGENT)
    wire.frames()
    wire.wait(10000)
    ((kind, body),) = wire.frames()
    assert kind == frame.HELLO
    assert cbor.loads(body)[32] == 1
    wire.run(wire.link.send(URGENT, 1, b"\x01"))  # a call is said to the silent wire all the same
    assert wire.frames()
    wire.say(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
    assert wire.link.connected(BULK)
    assert wire.link.greetings == 1
    ((_, body),) = wire.frames()
    assert 32 not in cbor.loads(body)


def test_serial_closed():
    wire = Wire()
    wire.run(wire.link.close())
    assert not wire.link.connected(BULK)
    for verb in (wire.link.send(BULK, 5, b"\x01"), wire.link.receive()):
        try:
            wire.run(verb)
        except LinkError:
            pass
        else:
            raise AssertionError
    wire.run(wire.link.open())
    assert wire.link.connected(BULK)


def clock(nvs=None, start=0):
    board = Board(nvs or Nvs(), Time(start))
    return Clock(board, board.nvs), board


def test_clock_counts_over_any_number_of_wraps():
    one, board = clock(start=(1 << 30) - 5)
    assert one.now_ms() == 0
    for days in range(1, 60):
        board.time.ms += 86400000
        assert one.now_ms() == days * 86400000


def test_clock_small_corrections_and_jumps():
    one, board = clock()
    assert one.utc_ms(0) is None
    assert one.source is None
    assert one.set(UTC, SNTP)
    assert one.source == SNTP
    assert board.rtc == UTC
    assert not one.set(UTC + 1999, SNTP)
    assert one.set(UTC + 2000, SNTP)
    assert not one.fault
    assert one.set(UTC + 2000 + 300001, SNTP)
    assert one.fault == JUMPED
    assert not one.set(UTC + 2000 + 300001, SNTP)
    assert not one.fault
    assert one.set(UTC, SNTP)
    assert one.fault == WENT_BACK


def test_clock_sntp_does_not_overrule_the_host():
    one, _ = clock()
    one.set(UTC, HOST)
    assert not one.set(UTC + 10**10, SNTP)
    assert one.fault == JUMPED
    assert one.utc_ms(0) == UTC
    assert one.source == HOST
    assert one.set(UTC + 10**10, HOST)


def test_clock_floor():
    nvs = Nvs()
    one, board = clock(nvs)
    one.set(UTC, SNTP)
    one.keep_floor()
    assert "floor" not in nvs.values  # an unsealed answer has to prove itself first
    board.time.ms += 3600000
    one.keep_floor()
    assert int.from_bytes(nvs.values["floor"], "big") == UTC + 3600000
    board.time.ms += 1000000
    one.keep_floor()
    assert int.from_bytes(nvs.values["floor"], "big") == UTC + 3600000
    again, board = clock(nvs)
    assert again.lend()
    assert board.rtc == UTC + 3600000  # for certificates
    assert again.utc_ms(0) is None  # and for nothing else
    for source in (SNTP, HOST):
        assert not again.set(UTC + 3599999, source)
        assert again.fault == WENT_BACK
        assert again.utc_ms(0) is None
    assert again.set(UTC + 3600000, SNTP)
    assert not again.fault
    nvs.values["floor"] = b"bad"
    third, board = clock(nvs)
    assert not third.lend()
    assert board.rtc is None
    assert third.set(1, SNTP)


def test_config_defaults_and_values():
    config = read(HUB, None)
    assert config.hub_id == HUB
    assert config.links == ["mqtt"]
    assert config.heartbeat == 300
    assert config.wrong == []
    assert config.mains is None
    assert config.broker is None
    given = {
        "wifi": ["home", "secret"],
        "broker": ["b.example", 1883, "u", "p"],
        "links": ["serial"],
        "ntp": ["t.example", 123],
        "buttons": [[1, 4, None], [3, 5, 9]],
        "pirs": [],
        "pir_warm_up": 0,
        "lamp": 3,
        "buzzer": 8,
        "mains": 7,
        "cancel": 6,
        "fall_ask": 0,
        "proof": 0,
        "heartbeat": 60,
        "version": 9,
        "later": {"x": 1},
    }
    config = read(HUB, cbor.dumps(given))
    assert config.wrong == []
    assert all(getattr(config, name) == value for name, value in given.items() if name != "later")
    config = read(HUB, cbor.dumps({"ntp": None, "mains": None, "wifi": None}))
    assert config.ntp is None
    assert config.mains is None
    assert config.wrong == []


def test_config_bad_values_take_their_default_and_are_named():
    for name, value in (
        ("wifi", "home"),
        ("wifi", ["home"]),
        ("wifi", ["", "x"]),
        ("broker", ["b", "1883", None, None]),
        ("broker", [5, 1883, None, None]),
        ("links", ["mqtt", "pigeon"]),
        ("links", "mqtt"),
        ("ntp", ["t", -1]),
        ("buttons", [[1]]),
        ("buttons", [[1, 4, 5, 6]]),
        ("buttons", [[0, 4, None]]),
        ("buttons", [[256, 4, None]]),
        ("buttons", [[1, -4, None]]),
        ("buttons", [[1, 4, "x"]]),
        ("pirs", 5),
        ("pir_warm_up", -1),
        ("cancel", [6]),
        ("fall_ask", -1),
        ("proof", "daily"),
        ("lamp", "x"),
        ("heartbeat", 0),
        ("heartbeat", True),
        ("version", -1),
    ):
        given = {"heartbeat": 77}
        given[name] = value
        config = read(HUB, cbor.dumps(given))
        assert config.wrong == [name], (name, value, config.wrong)
        assert getattr(config, name) == getattr(read(HUB, None), name)
        assert name == "heartbeat" or config.heartbeat == 77
    for raw in (b"\xff", b"\x80", b"\xa1"):
        assert read(HUB, raw).wrong == ["config"]


def test_store_replace_is_whole_or_old():
    path = FOLDER + "/file"
    assert store.read(path) is None
    store.replace(path, b"one")
    store.replace(path, b"two")
    assert store.read(path) == b"two"
    with open(path, "rb") as file:
        raw = file.read()
    for cut in range(len(raw)):
        with open(path, "wb") as file:
            file.write(raw[:cut])
        assert store.read(path) is None
    for at in range(len(raw)):
        broken = bytearray(raw)
        broken[at] ^= 4
        with open(path, "wb") as file:
            file.write(broken)
        assert store.read(path) is None


def test_store_names():
    folder = FOLDER + "/names"
    assert store.names(folder) == []
    for name in ("0000000a", "00000002", "x", "00000003.tmp"):
        with open(folder + "/" + name, "wb"):
            pass
    assert store.names(folder) == ["00000002", "0000000a"]
    assert sorted(os.listdir(folder)) == ["00000002", "0000000a"]
    assert store.free(folder) > 0


def test_heartbeat_measures_the_heap():
    import gc

    from kanhu_hub.heartbeat import largest_block

    gc.collect()
    size = largest_block()
    gc.collect()
    assert 0 < size <= gc.mem_free()
    block = bytearray(size)
    assert len(block) == size


def test_ble_is_offered_after_a_week_without_it():
    """Ticks wrap: a moment long ago must not seem to lie ahead."""
    import sys

    class Bluetooth:
        """The module, and its BLE()."""

        offered = 0

        def BLE(self):
            return self

        def UUID(self, value):
            return bytes(16)

        def gap_scan(self, *args):
            pass

        def gap_advertise(self, *args, resp_data=None):
            self.offered += 1

        def gatts_register_services(self, services):
            return ((1, 2),)

        def gatts_set_buffer(self, *args):
            pass

    class Radio:
        other = None
        connecting = False

        def resume(self):
            self.connecting = False

    class Time:
        ms = 5000

        def ticks_ms(self):
            return self.ms & 0x3FFFFFFF

        def ticks_diff(self, end, start):
            return ((end - start + 0x20000000) & 0x3FFFFFFF) - 0x20000000

        def ticks_add(self, ticks, delta):
            return (ticks + delta) & 0x3FFFFFFF

    class Machine:
        PWRON_RESET = HARD_RESET = WDT_RESET = DEEPSLEEP_RESET = SOFT_RESET = 0

    ble = sys.modules["bluetooth"] = Bluetooth()
    sys.modules["machine"] = Machine
    from kanhu_hub.board import gatt

    now = gatt.time = Time()
    one = gatt.Gatt(Radio(), "az2a837w6f")
    day_ms = 86_400_000
    for _ in range(16):  # nobody needs it for so long, and run() looks now and then
        one._look()
        now.ms += day_ms // 2
    assert not ble.offered
    one.want("ble", True)
    one._look()
    assert ble.offered == 1
    # A caller for nothing: the next pause still stands.
    one._seen = 7
    ble.gatts_read = lambda handle: b""
    one._look()
    one._seen = None
    one._look()
    now.ms += 900
    one._look()
    assert ble.offered == 1
    now.ms += 200
    one._look()
    assert ble.offered == 2
