"""The home's network: names, Wi-Fi, faults, datagrams; against echo servers on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from kanhu.sim import Bench

HUB = "k3v9m2x7qa"
CLIENT = """
import asyncio, network, time
wlan = network.WLAN(network.STA_IF)
print("status", wlan.status(), wlan.isconnected(), wlan.ifconfig()[0])
wlan.active(True)
wlan.connect("home", "secret")
print("status", wlan.status())
async def watch():
    last = None
    while True:
        now = wlan.isconnected(), wlan.status()
        if now != last:
            print("wifi", *now)
            last = now
        await asyncio.sleep_ms(20)
async def echo():
    while not wlan.isconnected():
        await asyncio.sleep_ms(20)
    print("address", wlan.ifconfig()[0], wlan.status("rssi"))
    n = 0
    while True:
        try:
            reader, writer = await asyncio.open_connection("broker.lan", 1883)
            print("connected")
            while True:
                n += 1
                writer.write(b"%d\\n" % n)
                await writer.drain()
                line = await asyncio.wait_for_ms(reader.readline(), 60000)
                if not line:
                    raise OSError("closed")
                print("echo", int(line))
                await asyncio.sleep_ms(20)
        except OSError as error:
            print("lost", error.args[0])
            await asyncio.sleep_ms(100)
asyncio.create_task(watch())
asyncio.run(echo())
"""


class Echo:
    """A TCP echo server that remembers who is connected."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        self.ended = 0
        self.mute = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1000):
                if not self.mute:
                    connection.sendall(data)
        except OSError:
            pass
        self.ended += 1
        self.open.remove(connection)
        connection.close()

    def close(self) -> None:
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def hub(bench: Bench, firmware, echo):
    bench.route("broker.lan", 1883, "127.0.0.1", echo.port)
    hub = bench.add_hub(HUB, files=firmware(CLIENT))
    hub.wait_log("echo 3")
    return hub


def said(hub, after: int) -> int:
    return hub.log(after).count("echo")


def test_status_codes_are_those_of_an_esp32(hub) -> None:
    log = hub.log()
    assert "status 1000 False 0.0.0.0\n" in log
    assert "status 1001\n" in log
    assert "wifi True 1010" in log
    assert "address 192.168.4.23 -55" in log


def test_wifi_off_stalls_and_wifi_on_resumes(bench: Bench, hub, echo) -> None:
    bench.wifi(False)
    hub.wait_log("wifi False 1001")
    time.sleep(0.1)
    mark = hub.log_position()
    time.sleep(0.4)
    assert said(hub, mark) == 0
    assert len(echo.open) == 1
    bench.wifi(True)
    hub.wait_log("wifi True 1010", after=mark)
    hub.wait_log("echo", after=mark)
    assert "lost" not in hub.log()


def test_names_need_wifi_and_a_route(bench: Bench, firmware) -> None:
    source = """
    import network, socket, time
    def resolve(*where):
        try:
            print("found", where, len(socket.getaddrinfo(*where)))
        except OSError as error:
            print("failed", where, error.args[0])
    resolve("127.0.0.1", 80)
    wlan = network.WLAN(network.STA_IF)
    try:
        wlan.connect("home", "x")
    except OSError as error:
        print(error)
    wlan.active(True); wlan.connect("home", "x")
    while not wlan.isconnected():
        pass
    resolve("127.0.0.1", 80)
    resolve("nowhere.lan", 80)
    print("end")
    """
    log = bench.add_hub(HUB, files=firmware(source)).wait_log("end")
    assert "failed ('127.0.0.1', 80) -202" in log
    assert "Wifi Not Started" in log
    assert "found ('127.0.0.1', 80) 1" in log
    assert "failed ('nowhere.lan', 80) -202" in log


def test_stall_cut_refuse(bench: Bench, hub, echo) -> None:
    bench.link_fault(HUB, "stall")
    time.sleep(0.1)
    mark = hub.log_position()
    time.sleep(0.3)
    assert said(hub, mark) == 0
    assert "lost" not in hub.log(mark)
    bench.link_fault(HUB, None)
    hub.wait_log("echo", after=mark)

    mark = hub.log_position()
    bench.link_fault(HUB, "refuse")
    hub.wait_log("echo", after=mark)  # what was open stays open
    assert "lost" not in hub.log(mark)

    bench.link_fault(HUB, "cut")
    hub.wait_log("lost", after=mark)
    time.sleep(0.3)
    assert hub.log(mark).count("lost") >= 2  # the new ones too
    mark = hub.log_position()
    bench.link_fault(HUB)
    hub.wait_log("echo", after=mark)


def test_a_power_cut_leaves_the_far_end_in_the_dark(bench: Bench, hub, echo) -> None:
    bench.cut_power()
    time.sleep(0.3)
    assert len(echo.open) == 1
    assert echo.ended == 0
    mark = hub.log_position()
    bench.power()
    hub.wait_log("echo 3", after=mark)
    assert len(echo.open) == 2


def test_the_broker_going_away_is_noticed(bench: Bench, hub, echo) -> None:
    mark = hub.log_position()
    echo.close()
    hub.wait_log("lost", after=mark)
    other = Echo()
    try:
        bench.route("broker.lan", 1883, "127.0.0.1", other.port)  # same name, new place
        hub.wait_log("echo", after=mark)
        hub.wait_log("connected", after=mark)
    finally:
        other.close()


def test_many_bytes_come_through_whole(bench: Bench, firmware, echo) -> None:
    source = """
    import asyncio, network
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True); wlan.connect("home", "x")
    async def main():
        while not wlan.isconnected():
            await asyncio.sleep_ms(20)
        reader, writer = await asyncio.open_connection("broker.lan", 1883)
        data = bytes(range(256)) * 16
        async def send():
            for _ in range(50):
                writer.write(data)
                await writer.drain()
        asyncio.create_task(send())
        good = 0
        for _ in range(50):
            good += await reader.readexactly(len(data)) == data
        print("good", good)
    asyncio.run(main())
    """
    bench.route("broker.lan", 1883, "127.0.0.1", echo.port)
    bench.add_hub(HUB, files=firmware(source)).wait_log("good 50", 20)


def test_time_comes_by_datagram(bench: Bench, firmware) -> None:
    source = """
    import network, socket, struct, time, machine
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True); wlan.connect("home", "x")
    while not wlan.isconnected():
        time.sleep_ms(20)
    address = socket.getaddrinfo("ntp.lan", 123)[0][-1]
    def ask():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.settimeout(1)
            s.sendto(b"\\x1b" + bytes(47), address)
            return struct.unpack("!I", s.recv(48)[40:44])[0]
        finally:
            s.close()
    now = time.gmtime(ask() - 3155673600)
    machine.RTC().datetime((now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0))
    print("clock", time.time())
    time.sleep(1)
    try:
        ask()
    except OSError as error:
        print("no answer", error.args[0])
    """
    bench.serve_time("ntp.lan", offset=3600)
    hub = bench.add_hub(HUB, files=firmware(source))
    seconds = int(hub.wait_log("\n").split("clock ")[1].split()[0])
    assert abs(seconds + 946684800 - 3600 - time.time()) < 5
    bench.link_fault(HUB, "stall")
    hub.wait_log("no answer 11")
