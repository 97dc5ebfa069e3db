"""Cellular modem on a UART: AT dialogue (3GPP TS 27.007) until PPP runs; then sockets as over Wi-Fi."""

import asyncio
import errno

import machine
import network
from micropython import const

from kanhu_hub.board.wifi import Wifi

_ANSWER_MS = const(3000)
_DIAL_MS = const(60000)  # a network may take that long to give way
_REGISTER_MS = const(90000)  # first search of a modem that has just been switched on
_POLL_MS = const(2000)
_GUARD_MS = const(1100)  # silence around +++ (Hayes: one second)
_ADDRESS_MS = const(30000)  # of LCP and IPCP
_AGAIN_MS = const(5000)
_AGAIN_MAX_MS = const(300000)
_UNANSWERED = const(
    4
)  # look-ups and connections in a row that brought no byte: the line only seems to be there
_LINE = const(200)  # bytes of an answer's line that are kept
_OVER = ("OK", "ERROR", "NO CARRIER", "BUSY", "NO DIALTONE", "NO ANSWER")


class Ppp(Wifi):
    """config: modem, apn. Dials again and again, until close()."""

    def __init__(self, config, log):
        self._modem = config.modem
        self._apn = config.apn
        self._log = log
        self._trouble: object = "no_modem"
        self._rssi = None
        self._uart: machine.UART = None  # type: ignore[assignment]  # until it is dialled first
        self._ppp = None
        self.unanswered = 1  # look-ups and connections since a byte came
        self._task = asyncio.create_task(self._keep())

    def up(self):
        """Whether there is an address."""
        return self._ppp is not None and self._ppp.isconnected()

    def rssi(self):
        """dBm of the cell when it was dialled, None when not known."""
        return self._rssi

    def why(self, error=None):
        """One word, why there is no connection, None while there is one; of a link's error its text."""
        return str(error) if error else self._trouble

    def close(self):
        """Hang up, and leave the modem alone."""
        self._task.cancel()
        self._hang_up()

    async def resolve(self, host, port):
        """As over Wi-Fi."""
        try:
            return await Wifi.resolve(self, host, port)
        except OSError:
            self.unanswered += 1
            raise

    async def connect(self, address):
        """As over Wi-Fi; a line on which nothing answers is dialled anew."""
        self.unanswered += 1
        try:
            stream, _ = await Wifi.connect(self, address)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                self.unanswered = 0  # somebody did
            raise
        stream = _Stream(stream.s, self)
        return stream, stream

    async def _keep(self):
        wait_ms = _AGAIN_MS
        while True:
            try:
                if await self._dial():
                    self._trouble = None
                    self.unanswered = 1  # that anything comes is still to be seen
                    self._log("modem: connected, %s dBm" % self._rssi)
                    while self.up() and self.unanswered < _UNANSWERED:
                        await asyncio.sleep_ms(_POLL_MS)
                        if not self.unanswered:
                            wait_ms = _AGAIN_MS
                    self._trouble = "no_carrier"
            except Exception as error:  # a wrong pin, or no UART: what else the hub does goes on
                self._trouble = "no_modem"
                self._log("modem: %r" % error)
            self._hang_up()
            self._log("modem: %s, again in %d s" % (self._trouble, wait_ms // 1000))
            await asyncio.sleep_ms(wait_ms)
            wait_ms = min(wait_ms * 2, _AGAIN_MAX_MS)

    def _hang_up(self):
        ppp, self._ppp = self._ppp, None
        if ppp:
            try:
                ppp.active(False)
                self._uart.irq(None)  # what comes now is the dialogue's
            except OSError:
                pass

    async def _dial(self):
        # True once there is an address; else _trouble says what was in the way.
        if self._uart is None:
            number, tx, rx, baud = self._modem
            self._uart = machine.UART(number, baudrate=baud, tx=tx, rx=rx, rxbuf=2048, timeout=0)
        self._rssi = None
        self._trouble = "no_modem"
        if not await self._wake():
            return False
        self._trouble = "no_sim"
        pin = await self._ask("AT+CPIN?", "+CPIN:")
        if pin is None:
            return False
        if "READY" not in pin:
            self._trouble = "pin_needed"
            return False
        if self._apn:
            await self._ask('AT+CGDCONT=1,"IP","%s"' % self._apn)
        self._trouble = "not_registered"
        if not await self._registered():
            return False
        signal = await self._ask("AT+CSQ", "+CSQ:")
        self._rssi = _dbm(signal)
        self._trouble = "no_carrier"
        if await self._command("ATD*99#", _DIAL_MS, "CONNECT") is None:
            return False
        self._trouble = "no_address"
        self._ppp = network.PPP(self._uart)
        self._ppp.active(True)
        self._ppp.connect()
        for _ in range(_ADDRESS_MS // 200):
            await asyncio.sleep_ms(200)
            if self._ppp.isconnected():
                return True
        return False

    async def _wake(self):
        for _ in range(2):
            for _ in range(3):
                if await self._ask("AT") is not None:
                    await self._ask("ATE0")
                    return True
            # It may be in data mode since before this hub started.
            await asyncio.sleep_ms(_GUARD_MS)
            self._uart.write(b"+++")
            await asyncio.sleep_ms(_GUARD_MS)
            await self._ask("ATH")
        return False

    async def _registered(self):
        for _ in range(_REGISTER_MS // _POLL_MS):
            for command in ("+CEREG", "+CGREG"):
                answer = await self._ask("AT%s?" % command, command + ":")
                # "+CEREG: 2,1": at home; 5: roaming
                if answer and answer.split(",")[1:2] in (["1"], ["5"]):
                    return True
            await asyncio.sleep_ms(_POLL_MS)
        return False

    async def _ask(self, command, prefix=None):
        # The line that begins with prefix, "" without one; None when refused or not answered.
        return await self._command(command, _ANSWER_MS, "OK", prefix)

    async def _command(self, command, timeout_ms, good, prefix=None):
        self._uart.read()  # what nobody asked for
        self._uart.write(command.encode() + b"\r")
        try:
            return await asyncio.wait_for_ms(self._answer(good, prefix), timeout_ms)
        except asyncio.TimeoutError:
            return None

    async def _answer(self, good, prefix):
        found = None if prefix else ""
        line = b""
        while True:
            data = self._uart.read(1)  # not more: after CONNECT all is PPP's
            if not data:
                await asyncio.sleep_ms(10)
            elif data != b"\n":
                line = (line + data)[-_LINE:]
            else:
                text = "".join(chr(byte) for byte in line if 31 < byte < 127)
                line = b""
                if prefix and text.startswith(prefix):
                    found = text[len(prefix) :].strip()
                if text.startswith(good):
                    return found
                if text in _OVER or text[:10] in ("+CME ERROR", "+CMS ERROR"):
                    return None


class _Stream(asyncio.StreamReader):
    """Tells its network that something came."""

    def __init__(self, sock, net):
        super().__init__(sock)
        self._net = net

    async def read(self, n=-1):
        data = await super().read(n)
        if data:
            self._net.unanswered = 0
        return data


def _dbm(answer):
    # TS 27.007, 8.5: 0 is -113 dBm or less, each step 2 dB, 99 not known
    try:
        value = int(answer.split(",")[0])
    except (AttributeError, ValueError):
        return None
    return 2 * value - 113 if 0 <= value <= 31 else None
