"""The fault proxy between plain sockets: each fault on connections there are and on new ones."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kanhu.errors import LinkDown
from kanhu.qa.faults.link_faults import (
    Cut,
    HalfOpen,
    LinkFault,
    LinkFaultError,
    Lossy,
    Mute,
    Refuse,
    Reset,
    Slow,
    Stall,
)
from kanhu.qa.faults.proxy import FaultProxy

LIMIT_S = 20.0
PUBLISH, PUBACK = b"\x30\x05\x00\x01abc", b"\x40\x02\x00\x07"


class Echo:
    """A server that sends back what it gets, and remembers who is still there."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self.got = bytearray()
        self.peers: list[socket.socket] = []
        self.ended: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            while data := peer.recv(4096):
                self.got += data
                peer.sendall(data)
            self.ended.append("closed")
        except ConnectionError:
            self.ended.append("reset")
        except OSError:
            return
        finally:
            peer.close()

    def close(self) -> None:
        self.listener.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.address) as made:
        yield made


@contextlib.contextmanager
def dial(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.address, proxy.port), LIMIT_S) as made:
        yield made


def read(near: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := near.recv(size - len(data))):
        data += part
    return data


def ask(near: socket.socket, data: bytes) -> bytes:
    near.sendall(data)
    return read(near, len(data))


def silent(near: socket.socket, seconds: float = 0.3) -> bool:
    near.settimeout(seconds)
    try:
        return not near.recv(1) and False
    except TimeoutError:
        return True
    finally:
        near.settimeout(LIMIT_S)


def is_reset(near: socket.socket) -> bool:
    try:
        near.sendall(b"?")
        near.recv(1)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def is_reset_anew(proxy: FaultProxy) -> bool:
    try:
        with dial(proxy) as near:
            return is_reset(near)
    except ConnectionResetError:
        return True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def test_without_faults_it_is_a_wire(proxy: FaultProxy, echo: Echo) -> None:
    block = bytes(range(256)) * 1000
    with dial(proxy) as near:
        sender = threading.Thread(target=near.sendall, args=(block,))
        sender.start()
        assert read(near, len(block)) == block
        sender.join()
        near.shutdown(socket.SHUT_WR)
        assert near.recv(1) == b""  # the end of one direction is passed on, and comes back
    until(lambda: proxy.connections == 0)
    assert echo.ended == ["closed"]
    assert proxy.count("connections") == 1
    assert proxy.count("bytes up") == proxy.count("bytes down") == len(block)


def test_cut_resets_what_there_is_and_what_comes(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as near:
        assert ask(near, b"before") == b"before"
        cut = proxy.set(Cut())
        assert is_reset(near)
    assert is_reset_anew(proxy)
    until(lambda: echo.ended == ["reset"])
    proxy.clear(cut)
    with dial(proxy) as near:
        assert ask(near, b"after") == b"after"
    assert proxy.count("cut") == 1
    assert proxy.count("resets") == 2


def test_stall_holds_bytes_and_new_connections_and_loses_none(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as near:
        assert ask(near, b"before") == b"before"
        stall = proxy.set(Stall())
        near.sendall(b"held")
        with dial(proxy) as newer:
            newer.sendall(b"too")
            assert silent(near)
            assert silent(newer)
            assert bytes(echo.got) == b"before"
            proxy.clear(stall)
            assert read(near, 4) == b"held"
            assert read(newer, 3) == b"too"


def test_reset_hits_only_the_connections_there_are(proxy: FaultProxy) -> None:
    with dial(proxy) as near:
        assert ask(near, b"1") == b"1"
        proxy.set(Reset())
        assert is_reset(near)
        with dial(proxy) as newer:
            assert ask(newer, b"2") == b"2"


def test_reset_again_and_again(proxy: FaultProxy) -> None:
    repeated = proxy.set(Reset(every_s=0.05))
    for _ in range(3):
        until(lambda: is_reset_anew(proxy))
    proxy.clear(repeated)
    with dial(proxy) as near:
        assert ask(near, b"well") == b"well"
        assert silent(near)


def test_refuse_is_no_listener_at_all(proxy: FaultProxy) -> None:
    with dial(proxy) as near:
        assert ask(near, b"1") == b"1"
        first, second = proxy.set(Refuse()), proxy.set(Refuse())
        with pytest.raises(ConnectionRefusedError), dial(proxy):
            pass
        assert ask(near, b"2") == b"2"  # who is there stays
        proxy.clear(first)
        with pytest.raises(ConnectionRefusedError), dial(proxy):
            pass
        proxy.clear(second)
        with dial(proxy) as newer:
            assert ask(newer, b"3") == b"3"


def test_slow_is_that_slow_and_fast_once_lifted(proxy: FaultProxy) -> None:
    with dial(proxy) as near:
        slow = proxy.set(Slow(200))
        begin = time.monotonic()
        near.sendall(bytes(100))
        assert len(read(near, 100)) == 100
        assert time.monotonic() - begin >= 0.4  # 0.5 s less the last piece; each way at the same time
        near.sendall(bytes(20_000))  # 100 s at this rate
        proxy.clear(slow)
        assert len(read(near, 20_000)) == 20_000


def test_of_two_rates_the_slower_counts(proxy: FaultProxy) -> None:
    slow = proxy.set(Slow(100))
    proxy.set(Slow(1_000_000))
    assert proxy.bytes_s == 100
    proxy.clear(slow)
    assert proxy.bytes_s == 1_000_000


def test_lossy_cuts_a_segment_short_and_its_connection(proxy: FaultProxy, echo: Echo) -> None:
    lossy = proxy.set(Lossy(1.0, seed=3))
    with dial(proxy) as near:
        near.sendall(bytes(1000))
        with contextlib.suppress(ConnectionResetError):
            assert near.recv(1) == b""
    until(lambda: proxy.count("cut short") >= 1)
    assert len(echo.got) < 1000
    proxy.clear(lossy)
    with dial(proxy) as near:
        assert ask(near, b"well") == b"well"
    proxy.set(Lossy(0.0))
    with dial(proxy) as near:
        assert ask(near, b"well") == b"well"


def test_half_open_with_the_server_gone(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as near:
        assert ask(near, b"before") == b"before"
        half = proxy.set(HalfOpen())
        until(lambda: echo.ended == ["reset"])
        near.sendall(b"to nobody")
        assert silent(near)
        until(lambda: proxy.count("bytes to nobody") == 9)
        with dial(proxy) as newer:
            assert ask(newer, b"new") == b"new"
        proxy.clear(half)
        assert is_reset(near)
    assert bytes(echo.got) == b"beforenew"


def test_half_open_with_the_client_gone(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as near:
        assert ask(near, b"before") == b"before"
        half = proxy.set(HalfOpen("client"))
        assert is_reset(near)
    time.sleep(0.1)
    assert echo.ended == []  # a server that goes on thinking that its client is there
    proxy.clear(half)
    until(lambda: echo.ended == ["reset"])


def test_mute_swallows_acknowledgements_whole_or_in_pieces(proxy: FaultProxy) -> None:
    with dial(proxy) as near:
        assert ask(near, PUBACK) == PUBACK
        mute = proxy.set(Mute())
        assert not ask_lost(near, PUBLISH + PUBACK + PUBLISH, PUBLISH + PUBLISH)
        for byte in PUBACK + PUBLISH:
            near.sendall(bytes((byte,)))
            time.sleep(0.005)
        assert read(near, len(PUBLISH)) == PUBLISH
        proxy.clear(mute)
        assert ask(near, PUBACK) == PUBACK
    assert proxy.count("swallowed") == 2


def ask_lost(near: socket.socket, data: bytes, left: bytes) -> bytes:
    near.sendall(data)
    came = read(near, len(left))
    assert came == left
    return b"" if silent(near, 0.1) else b"more"


def test_what_is_not_mqtt_passes_and_is_counted(proxy: FaultProxy) -> None:
    proxy.set(Mute())
    with dial(proxy) as near:
        text = b"\x00 no packet of MQTT " + PUBACK
        assert ask(near, text) == text
    assert proxy.count("unreadable") == 1


def test_an_upstream_that_is_away_is_a_reset_and_may_move(proxy: FaultProxy, echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[:2]
    proxy.upstream = free
    assert is_reset_anew(proxy)
    assert proxy.count("unreachable") == 1
    proxy.upstream = echo.address
    with dial(proxy) as near:
        assert ask(near, b"there") == b"there"


def test_faults_compose_and_are_lifted_at_once(proxy: FaultProxy) -> None:
    every: list[LinkFault] = [Stall(), Slow(10), Refuse(), Cut(), Mute(), Lossy(1.0), HalfOpen(), Reset(0.01)]
    for fault in every:
        proxy.set(fault)
    assert proxy.faults == tuple(every)
    proxy.clear()
    assert proxy.faults == ()
    with dial(proxy) as near:
        assert ask(near, PUBACK * 100) == PUBACK * 100
    for fault in every:
        assert proxy.count(fault.name) == 1
        proxy.clear(fault)  # once more does nothing


def test_the_port_stays_over_a_stop_and_is_somebodys_own(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as near:
        assert ask(near, b"1") == b"1"
        proxy.stop()
        proxy.stop()
        assert is_reset(near)
    proxy.clear()
    with pytest.raises(LinkDown):
        proxy.set(Cut())
    port = proxy.port
    proxy.start()
    assert proxy.port == port
    with pytest.raises(LinkDown, match=f"cannot listen on 127.0.0.1:{port}"):
        FaultProxy(echo.address, port=port).start()


@pytest.mark.parametrize(
    "make", [lambda: Slow(0), lambda: Lossy(1.5), lambda: Reset(0.0)], ids=["slow", "lossy", "reset"]
)
def test_senseless_parameters_are_refused(make: Callable[[], LinkFault]) -> None:
    with pytest.raises(LinkFaultError, match="not"):
        make()
