"""TLS under the MQTT link: a private CA, the broker's name checked, no handshake before the time is known."""

import asyncio

from micropython import const

import tls
from kanhu_hub.links import LinkError

_TIME_TRIES = const(20)
_TIME_MS = const(500)  # between tries; all of them take less than a session gives a connection to open

# What mbedTLS says of a certificate -> what to do. Its error text names every reason that applies.
_REASONS = (
    ("has expired", "certificate expired: kanhu pki renew"),
    ("in the future", "certificate not valid yet: see the clocks"),
    ("(CN)", "certificate is for another host: kanhu pki issue --san"),
    ("trusted CA", "certificate of an unknown CA: provision again"),
    ("invalid cert", "no usable CA in NVS: provision again"),
    ("INVALID_RECORD", "broker speaks no TLS on this port"),
    ("CONN_EOF", "broker ended the handshake: is this its TLS port?"),
)


class Tls:
    """The network `net` of a link, its connections wrapped; blob `ca` of nvs: DER certificates."""

    def __init__(self, net, host, nvs, clock, ca="ca"):
        self.up = net.up
        self.rssi = net.rssi
        self.resolve = net.resolve
        self._net = net
        self._host = host
        self._nvs = nvs
        self._ca = ca
        self._clock = clock
        self._context = None
        self._lent = False  # the board's clock stands at the last time it was trusted with

    async def connect(self, address):
        """(reader, writer) of a TLS connection whose handshake goes on with the first reads and writes."""
        tries = _TIME_TRIES
        while self._clock.source is None and not self._lent:
            if tries:
                tries -= 1
                await asyncio.sleep_ms(_TIME_MS)
            elif self._clock.lend():
                # A call must not wait for a time server, and this misses hardly a certificate's end.
                self._lent = True
            else:
                # Certificates would be judged by a clock that starts in 2000.
                raise LinkError("time not known yet: no TLS before it is (ntp)")
        if not self._context:
            self._context = self._trusting(self._nvs.blob(self._ca) or b"")
        stream, _ = await self._net.connect(address)
        try:
            stream.s = self._context.wrap_socket(
                stream.s, server_hostname=self._host, do_handshake_on_connect=False
            )
        except BaseException:
            stream.s.close()
            raise
        return stream, stream

    def _trusting(self, ca):
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)  # verifies chain, dates and name by default
        if not ca:
            raise ValueError("invalid cert")
        while ca:
            # DER: a SEQUENCE with a length of two bytes.
            size = 4 + int.from_bytes(ca[2:4], "big")
            context.load_verify_locations(ca[:size])
            ca = ca[size:]
        return context

    def why(self, error):
        """One line for the log."""
        text = str(error)
        said = [reason for sign, reason in _REASONS if sign in text]
        return "tls: " + "; ".join(said) if said else text
