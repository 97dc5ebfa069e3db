"""Wi-Fi station and the sockets on it."""

import asyncio
import errno
import select
import socket

import network
from micropython import const

_CONNECT_MS = const(10000)
_POLL_MS = const(20)


class Wifi:
    """Asks to be connected once; the port then connects again by itself, for ever."""

    def __init__(self, ssid, password):
        self._station = network.WLAN(network.STA_IF)
        self._station.active(True)
        self._station.config(pm=network.WLAN.PM_NONE)  # mains powered: answers at once
        if not self._station.isconnected():
            try:
                self._station.disconnect()
            except OSError:
                pass
            self._station.connect(ssid, password)

    def up(self):
        """Whether the station has an address."""
        return self._station.isconnected()

    def rssi(self):
        """dBm of the access point, None without one."""
        try:
            return self._station.status("rssi")
        except OSError:
            return None

    async def resolve(self, host, port):
        """The first address of a host for connect(); OSError. The port's look-up blocks: ask rarely."""
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1]

    async def connect(self, address):
        """(reader, writer) of a new TCP connection; OSError."""
        sock = socket.socket()
        try:
            sock.setblocking(False)
            try:
                sock.connect(address)
            except OSError as error:
                if error.errno != errno.EINPROGRESS:
                    raise
            await self._connected(sock)
        except BaseException:
            sock.close()
            raise
        stream = asyncio.StreamReader(sock)
        return stream, stream

    async def _connected(self, sock):
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        for _ in range(_CONNECT_MS // _POLL_MS):
            for _, event in poller.poll(0):
                if event & (select.POLLERR | select.POLLHUP):
                    raise OSError(errno.ECONNREFUSED)
                return
            await asyncio.sleep_ms(_POLL_MS)
        raise OSError(errno.ETIMEDOUT)
