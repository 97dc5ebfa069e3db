# time as on an ESP32: ticks of 30 bits, an epoch in 2000 and a clock without battery.
import _bench
from micropython import const

_PERIOD = const(1 << 30)  # ESP32: MICROPY_PY_TIME_TICKS_PERIOD
_HALF = const(1 << 29)
_EPOCH = const(946684800)  # 2000-01-01 in Unix seconds

_clock_us = _bench.state["clock_us"]  # what the clock shows, less up_us


def ticks_ms():
    return _bench.up_ms() & (_PERIOD - 1)


def ticks_us():
    return (_bench.up_us() + _bench.TICK_START * 1000) & (_PERIOD - 1)


def ticks_cpu():
    return (_bench.up_us() * 240) & (_PERIOD - 1)


def ticks_add(ticks, delta):
    if not -_HALF < delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) & (_PERIOD - 1)


def ticks_diff(end, start):
    return ((end - start + _HALF) & (_PERIOD - 1)) - _HALF


def _now_us():
    return _clock_us + _bench.up_us()


def _set_us(us):
    global _clock_us
    _clock_us = us - _bench.up_us()
    _bench.send("clock", _clock_us)


def time():
    return _now_us() // 1000000


def time_ns():
    return _now_us() * 1000


def gmtime(secs=None):
    return _bench.unix_time.gmtime((time() if secs is None else int(secs)) + _EPOCH)[:8]


localtime = gmtime


def mktime(when):
    return _bench.unix_time.mktime(tuple(when[:8]) + (0,)) - _EPOCH


def sleep(seconds):
    _bench.wait_us(int(seconds * 1000000))


def sleep_ms(ms):
    _bench.wait_us(ms * 1000)


def sleep_us(us):
    _bench.wait_us(us)
