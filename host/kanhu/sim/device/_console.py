# sys.stdin as on an ESP32: a read returns when all it asked for is there, however long that takes.
import io
import sys as _unix

import _bench

_GET_FILENO = 10  # MP_STREAM_GET_FILENO
_POLL = 3


class _Bytes(io.IOBase):
    def read(self, n=-1):
        data = bytearray(n)
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer, n=None):
        view = memoryview(buffer)
        if n is not None:
            view = view[:n]
        got = 0
        while got < len(view):
            n = _unix.stdin.buffer.readinto(view[got:])
            if not n:  # the terminal is closed for good, and every read returns at once
                _bench.lose_supply()
            got += n
        return got

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.read(1)
        return line

    def ioctl(self, request, arg):
        if request == _GET_FILENO:
            return 0
        return arg & 1 if request == _POLL else -1


class _Text(_Bytes):
    def __init__(self):
        self.buffer = _Bytes()

    def read(self, n=-1):
        return _Bytes.read(self, n).replace(b"\r", b"\n").decode()

    def readline(self):
        return _Bytes.readline(self).decode()


class Sys:
    platform = "esp32"
    stdin = _Text()

    def __getattr__(self, name):
        return getattr(_unix, name)
