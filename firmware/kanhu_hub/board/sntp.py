"""One SNTP question (RFC 4330), without blocking."""

import asyncio
import errno
import os
import socket

from micropython import const

_UNIX = const(2208988800)  # 1970 in NTP seconds
_ERA = const(4294967296)  # NTP seconds wrap in 2036
_ANSWER_MS = const(5000)


async def ask(host, port):
    """UTC in ms since 1970; OSError when no sane answer to this very question came."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0][-1])
        mark = os.urandom(8)  # comes back as the originate timestamp: an answer from elsewhere has another
        sock.write(b"\x23" + bytes(39) + mark)
        try:
            answer = await asyncio.wait_for_ms(asyncio.StreamReader(sock).read(48), _ANSWER_MS)
        except asyncio.TimeoutError:
            raise OSError(errno.ETIMEDOUT)
    finally:
        sock.close()
    # Mode server, clock synchronised, stratum 1..15.
    if (
        len(answer) != 48
        or answer[24:32] != mark
        or answer[0] & 7 != 4
        or answer[0] >> 6 == 3
        or not 0 < answer[1] < 16
    ):
        raise OSError(errno.EIO)
    seconds = int.from_bytes(answer[40:44], "big")
    if not seconds & 0x80000000:
        seconds += _ERA
    return (seconds - _UNIX) * 1000 + (int.from_bytes(answer[44:48], "big") * 1000 >> 32)
