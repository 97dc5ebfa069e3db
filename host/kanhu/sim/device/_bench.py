# The wire to the bench: JSON lines over an inherited descriptor, shared by all stand-ins. Nothing runs in a
# second thread: messages are handled when the hub waits, sleeps or reads a state, which is where a board's
# soft interrupts get their turn too.
import json
import os
import select
import socket as unix_socket  # noqa: F401  the stand-ins of that name take it from here
import sys
import time as unix_time

state = json.loads(os.getenv("KANHU_SIM"))
stream = open(state["fd"], "r+b")  # noqa: SIM115  open as long as the hub runs
handlers = {}  # kind of message -> function of its fields
SPEED = state["speed"]
TICK_START = state["tick_start"]

_poller = select.poll()
_poller.register(stream, select.POLLIN)
_writer = select.poll()
_writer.register(stream, select.POLLOUT)
# A chip hears the air while it computes; this one, late on a busy computer, would hear it in one burst.
_SLICE = 24  # messages handled before the hub's tasks have their turn
_buffer = bytearray(1024)
_used = 0
inbox = []
_busy = False
_calls = 0

# Both clocks are CLOCK_MONOTONIC on Linux; elsewhere the difference at the start is taken out.
_shift_us = unix_time.ticks_us() - state["now_us"]
if abs(_shift_us) <= 10_000_000:
    _shift_us = 0
zero_us = state["reset_us"] + _shift_us
_frozen_us = None


def up_us():
    return ((unix_time.ticks_us() if _frozen_us is None else _frozen_us) - zero_us) * SPEED


def freeze(when_us):
    """For an interrupt it is when its edge came, however late this process hears of it; None: it is now."""
    global _frozen_us
    _frozen_us = None if when_us is None else when_us + _shift_us


def up_ms():
    return up_us() // 1000 + TICK_START


def send(*message):
    data = json.dumps(message).encode() + b"\n"
    sent = 0
    while sent < len(data):
        n = stream.write(data[sent:])
        if n:
            sent += n
        else:
            _writer.poll(100)


def lose_supply():
    # The bench is gone, and with it the supply.
    os.system("kill -KILL $PPID")  # noqa: S605, S607


def _read():
    # Into one buffer: a hub whose heap is in pieces must still hear the bench.
    global _buffer, _used
    if _used == len(_buffer):
        _buffer = _buffer + bytearray(len(_buffer))
    n = stream.readinto(memoryview(_buffer)[_used:])  # never blocks; None if there is nothing after all
    if n is None:
        return
    if n == 0:
        lose_supply()
    _used += n
    start = 0
    while True:
        end = _buffer.find(b"\n", start, _used)
        if end < 0:
            break
        try:
            inbox.append(json.loads(_buffer[start:end]))
        except ValueError:
            pass  # Ctrl-C has cut it in two
        start = end + 1
    if start:
        _buffer[: _used - start] = _buffer[start:_used]
        _used -= start


def poll(wait_ms=0):
    """Handle what the bench said; wait up to wait_ms of real time (-1: for ever) for something to arrive."""
    global _busy
    if _busy:
        return
    if not inbox and _poller.poll(wait_ms):
        _read()
    _busy = True
    left = _SLICE
    try:
        while inbox and left:
            left -= 1
            message = inbox.pop(0)
            handler = handlers.get(message[0])
            if handler:
                handler(*message[1:])
            if not inbox and left and _poller.poll(0):
                _read()
    finally:
        _busy = False


def wait_us(us):
    """Sleep us of the hub's time, handling messages."""
    end = up_us() + us
    while True:
        left = (end - up_us()) // SPEED
        if left <= 0:
            return
        if left < 1000 or _busy:
            _native_sleep_us(left)
        else:
            poll(left // 1000)


_native_sleep_us = unix_time.sleep_us


def call(*request):
    """Ask the bench and wait for its answer; OSError if it says so."""
    global _calls
    _calls += 1
    number = _calls
    send("rpc", number, *request)
    while True:
        for i, message in enumerate(inbox):
            if message[0] == "r" and message[1] == number:
                inbox.pop(i)
                if message[2] is None:
                    return message[3]
                if len(message) > 3 and message[3]:
                    raise OSError(message[2], message[3])
                raise OSError(message[2])
        _poller.poll(-1)
        _read()


def die(why):
    """Have the bench end this process; never returns."""
    send("die", why)
    while True:
        try:
            _poller.poll(1000)
            _read()
        except KeyboardInterrupt:
            pass


_HALTED = b'["halted"]\n'


def halt():
    """The supply goes now: the bench ends this process, and nothing more happens in it. Allocates nothing."""
    stream.write(_HALTED)
    while True:
        try:
            unix_time.sleep_ms(1000)
        except KeyboardInterrupt:
            pass


def irq(handler, *args):
    """Run an interrupt handler as MicroPython does: what it raises is printed. Returns False if it raised."""
    try:
        handler(*args)
        return True
    except Exception as error:
        sys.stderr.write("Unhandled exception in callback\n")
        sys.print_exception(error)
        return False
