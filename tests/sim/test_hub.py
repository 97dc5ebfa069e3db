"""A simulated hub: start, resets, memory, time, pins, radio; with throw-away firmware."""

from __future__ import annotations

import time

import pytest

from kanhu.sim import Bench, BenchError, Wire

HUB = "k3v9m2x7qa"
IDLE = """
import asyncio, time
print("main", time.ticks_ms())
async def idle():
    while True:
        await asyncio.sleep_ms(1000)
asyncio.run(idle())
"""


def test_two_hubs_and_a_radio_start_quickly(bench: Bench, firmware, capsys) -> None:
    start = time.monotonic()
    for hub_id in (HUB, "aaaaaaaaaa"):
        bench.add_hub(hub_id, files=firmware(IDLE))
    bench.add_sensor("walker", "button", "A4:C1:38:00:00:01")
    for hub in bench.hubs.values():
        hub.wait_log("main")
    took = time.monotonic() - start
    first = int(bench.hubs[HUB].log().split("main ")[1].split()[0])
    with capsys.disabled():
        print(f"\nbench with two hubs up in {took:.2f} s; first line of main.py {first} ms after power-on")
    assert took < 3
    assert first < 1000


def test_provisioning_reaches_nvs_and_flash(bench: Bench, firmware) -> None:
    source = """
    import esp32
    nvs = esp32.NVS("kanhu")
    buffer = bytearray(200)
    print(bytes(buffer[: nvs.get_blob("hub_id", buffer)]), nvs.get_i32("generation"))
    print(bytes(buffer[: nvs.get_blob("key", buffer)]))
    print(bytes(buffer[: nvs.get_blob("config", buffer)]))
    try:
        nvs.get_i32("boot")
    except OSError as error:
        print(error.errno, error)
    print("end")
    """
    hub = bench.add_hub(HUB, files=firmware(source), key=b"k" * 16, generation=7, config={"lamp": 5})
    log = hub.wait_log("end")
    assert "b'k3v9m2x7qa' 7" in log
    assert "b'kkkkkkkkkkkkkkkk'" in log
    assert "b'\\xa1dlamp\\x05'" in log
    assert "-4354" in log
    assert "ESP_ERR_NVS_NOT_FOUND" in log
    assert set(hub.flash_files()) == {"/main.py"}
    assert hub.nvs()["generation"] == 7


def test_nvs_errors_are_those_of_esp_idf(bench: Bench, firmware) -> None:
    source = """
    import esp32
    nvs = esp32.NVS("kanhu")
    def tried(what, f, *args):
        try:
            print(what, f(*args))
        except OSError as error:
            print(what, error.args[0], error.args[1])
    tried("long", nvs.set_i32, "a" * 16, 1)
    tried("15", nvs.set_i32, "a" * 15, -5)
    tried("get15", nvs.get_i32, "a" * 15)
    tried("space", esp32.NVS, "n" * 16)
    nvs.set_blob("blob", b"12345")
    tried("small", nvs.get_blob, "blob", bytearray(4))
    tried("fits", nvs.get_blob, "blob", bytearray(9))
    tried("type", nvs.get_i32, "blob")
    tried("erase", nvs.erase_key, "nothing")
    tried("full", nvs.set_blob, "big", bytes(30000))
    nvs.erase_key("blob")
    tried("erased", nvs.get_blob, "blob", bytearray(9))
    print("end")
    """
    log = bench.add_hub(HUB, files=firmware(source)).wait_log("end")
    for line in (
        "long -4361 ESP_ERR_NVS_KEY_TOO_LONG",
        "15 None",
        "get15 -5",
        "space -4358 ESP_ERR_NVS_INVALID_NAME",
        "small -4364 ESP_ERR_NVS_INVALID_LENGTH",
        "fits 5",
        "type -4355 ESP_ERR_NVS_TYPE_MISMATCH",
        "erase -4354 ESP_ERR_NVS_NOT_FOUND",
        "full -4357 ESP_ERR_NVS_NOT_ENOUGH_SPACE",
        "erased -4354 ESP_ERR_NVS_NOT_FOUND",
    ):
        assert line in log


def test_only_committed_nvs_survives_a_power_cut(bench: Bench, firmware) -> None:
    source = """
    import esp32, time
    nvs = esp32.NVS("kanhu")
    for key in ("kept", "lost"):
        try:
            print(key, nvs.get_i32(key))
        except OSError:
            print(key, "absent")
    nvs.set_i32("kept", 1)
    nvs.commit()
    nvs.set_i32("lost", 1)
    print("end")
    time.sleep(60)
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("end")
    bench.cut_power()
    assert not hub.running
    mark = hub.log_position()
    bench.power()
    log = hub.wait_log("end", after=mark)
    assert "kept 1" in log
    assert "lost absent" in log


def test_resets_say_why_and_what_they_keep(bench: Bench, firmware) -> None:
    source = """
    import machine, time, sys
    rtc = machine.RTC()
    print("cause", machine.reset_cause(), rtc.memory(), time.time() > 1000)
    step = len(rtc.memory())
    rtc.memory(rtc.memory() + b"x")
    if step == 0:
        rtc.datetime((2031, 5, 6, 0, 7, 8, 9, 0))
        print(rtc.datetime(), time.localtime())
        machine.soft_reset()
    elif step == 1:
        machine.reset()
    elif step == 2:
        machine.WDT(timeout=300)
        time.sleep(10)
    elif step == 3:
        print("end")
        time.sleep(60)
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    log = hub.wait_log("end")
    assert "cause 1 b'' False" in log
    assert "(2031, 5, 6, 1, 7, 8, 9, " in log
    assert "(2031, 5, 6, 7, 8, 9, 1, 126)" in log
    assert "cause 5 b'x' True" in log
    assert "cause 2 b'xx' True" in log
    assert "cause 3 b'xxx' True" in log
    assert hub.watchdog_resets == 1
    mark = hub.log_position()
    bench.cut_power()
    bench.power()
    hub.wait_log("cause 1 b'' False", after=mark)


def test_a_fed_watchdog_stays_quiet_and_a_new_timeout_counts(bench: Bench, firmware) -> None:
    source = """
    import machine, time
    wdt = machine.WDT(timeout=400)
    for _ in range(8):
        time.sleep_ms(150)
        wdt.feed()
    print("fed", machine.reset_cause())
    wdt = machine.WDT(timeout=5000)
    time.sleep_ms(1000)
    print("longer")
    machine.WDT(timeout=200)
    print("starved", time.ticks_ms())
    while True:
        pass
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("longer")
    assert hub.watchdog_resets == 0
    hub.wait_log("fed 3")  # back, by the watchdog


def test_the_watchdog_outlives_a_soft_reset(bench: Bench, firmware) -> None:
    source = """
    import machine, sys
    print("cause", machine.reset_cause())
    if machine.reset_cause() == machine.PWRON_RESET:
        machine.WDT(timeout=700)
        machine.soft_reset()
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("cause 5")
    hub.wait_log("cause 3")


def test_a_crash_in_main_leaves_a_repl(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware("import nothing_there"))
    assert "ImportError" in hub.wait_log(">>> ")


def test_ticks_wrap_as_on_an_esp32(bench: Bench, firmware) -> None:
    source = """
    import asyncio, time
    async def main():
        a = time.ticks_ms()
        await asyncio.sleep_ms(600)
        b = time.ticks_ms()
        print("wrapped", a > b, 590 < time.ticks_diff(b, a) < 900, time.ticks_diff(time.ticks_add(a, 5), a))
        try:
            await asyncio.wait_for_ms(asyncio.Event().wait(), 50)
        except asyncio.TimeoutError:
            print("timed out")
    asyncio.run(main())
    """
    hub = bench.add_hub(HUB, files=firmware(source), tick_start=(1 << 30) - 400)
    hub.wait_log("wrapped True True 5")
    hub.wait_log("timed out")


def test_the_clock_starts_in_2000_and_mktime_agrees(bench: Bench, firmware) -> None:
    source = """
    import time
    print("now", time.gmtime(), time.time(), time.time_ns() < 10**10)
    print("mk", time.mktime((2026, 3, 1, 12, 0, 0, 0, 0)), time.gmtime(825681600))
    """
    log = bench.add_hub(HUB, files=firmware(source)).wait_log("60)")
    assert "now (2000, 1, 1, 0, 0, 0, 5, 1) 0 True" in log
    assert "mk 825681600 (2026, 3, 1, 12, 0, 0, 6, 60)" in log


def test_a_wired_button_bounces_and_is_on_the_record(bench: Bench, firmware) -> None:
    source = """
    import asyncio
    from machine import Pin
    flag = asyncio.ThreadSafeFlag()
    edges = [0, 0]
    pin = Pin(4, Pin.IN, Pin.PULL_UP)
    def changed(pin):
        edges[pin.value()] += 1
        flag.set()
    pin.irq(changed, Pin.IRQ_FALLING | Pin.IRQ_RISING)
    print("ready", pin.value())
    async def main():
        while True:
            await flag.wait()
            await asyncio.sleep_ms(50)
            print("level", pin.value(), "edges", sum(edges))
    asyncio.run(main())
    """
    hub = bench.add_hub(HUB, files=firmware(source), wiring={"bedroom": 4})
    hub.wait_log("ready 1")
    before = time.monotonic()
    bench.press("bedroom")
    hub.wait_log("level 0")
    hub.wait_log("level 1 edges 14")
    (press,) = bench.presses
    assert press[1:] == (HUB, "bedroom", "button")
    assert before <= press.time <= time.monotonic()
    bench.stick("bedroom", True)
    hub.wait_log("level 0 edges 21")
    bench.stick("bedroom", False)
    hub.wait_log("level 1 edges 28")
    bench.cut_power()
    bench.press("bedroom")
    assert len(bench.presses) == 1
    assert len(bench.missed_presses) == 1


def test_pir_mains_and_supervised_line(bench: Bench, firmware) -> None:
    source = """
    import time
    from machine import ADC, Pin
    pir, mains, line, button = Pin(5), Pin(6), ADC(Pin(7), atten=ADC.ATTN_11DB), Pin(4, Pin.IN, Pin.PULL_UP)
    narrow = ADC(7)
    print("narrow", narrow.read_uv())
    narrow = None
    line.atten(ADC.ATTN_11DB)
    last = None
    while True:
        now = (pir.value(), mains.value(), line.read_uv() // 1000, button.value())
        if now != last:
            print("now", *now)
            last = now
        time.sleep_ms(5)
    """
    config = {"buttons": [[1, 4, 7]], "pirs": [[2, 5]], "mains": 6}
    hub = bench.add_hub(HUB, files=firmware(source), config=config, wiring={"bed": 4, "hall": 5})
    hub.wait_log("narrow 950000")
    hub.wait_log("now 0 1 2600 1")
    bench.motion("hall", seconds=0.2)
    hub.wait_log("now 1 1 2600 1")
    bench.mains(False)
    hub.wait_log("now 0 0 2600 1")
    bench.line("bed", "open")
    hub.wait_log("now 0 0 3100 1")
    bench.line("bed", "short")
    hub.wait_log("now 0 0 20 0")
    bench.line("bed", "ok")
    bench.mains(True)
    mark = hub.log_position()
    bench.press("bed")
    hub.wait_log("now 0 1 800 0", after=mark)
    hub.wait_log("now 0 1 2600 1", after=mark)


def test_indicator_is_read_from_the_pins(bench: Bench, firmware, patterns) -> None:
    source = """
    import asyncio
    from machine import Pin
    lamp, buzzer = Pin(2, Pin.OUT), Pin(15, Pin.OUT)
    PATTERNS = TABLE
    async def show(name, steps):
        light, sound = PATTERNS[name][:2]
        for step in range(steps):
            lamp.value(light[step % len(light)] == "#")
            buzzer.value(sound[step % len(sound)] == "#")
            await asyncio.sleep_ms(100)
    async def main():
        await show("heard", 25)
        await show("unanswered", 30)
        await show("accepted", 10 ** 6)
    asyncio.run(main())
    """
    source = source.replace("TABLE", repr(patterns))
    bench.add_hub(HUB, files=firmware(source), patterns=patterns)
    heard = bench.wait_indicator(None, "heard", 3)
    assert heard.chinese == "已听到"
    unanswered = bench.wait_indicator(HUB, "unanswered", 5)
    accepted = bench.wait_indicator(HUB, "accepted", 6)
    assert heard.since < unanswered.since < accepted.since
    assert accepted.since - heard.since == pytest.approx(5.6, abs=0.6)
    bench.cut_power()
    assert bench.indicator().pattern is None


def test_power_cut_in_the_middle_of_writing_keeps_whole_files(bench: Bench, firmware) -> None:
    source = """
    import os
    try:
        print("found", len(open("/data").read()), open("/data").read()[:1] * 3000 == open("/data").read())
    except OSError:
        print("found none")
    n = 0
    while True:
        n += 1
        with open("/tmp", "w") as file:
            file.write(chr(65 + n % 26) * 3000)
        os.rename("/tmp", "/data")
        if n == 5:
            print("writing")
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    mark = 0
    for turn in range(8):
        hub.wait_log("writing", after=mark)
        time.sleep(0.01 * turn)
        live = hub.flash_files()  # a copy taken while it writes is as good as a cut
        assert len(live["/data"]) == 3000
        bench.cut_power()
        mark = hub.log_position()
        bench.power()
        hub.wait_log("found 3000 True", after=mark)


def test_flash_full_is_an_error_the_hub_sees(bench: Bench, firmware) -> None:
    source = """
    try:
        for n in range(1000):
            with open("/%d" % n, "w") as file:
                file.write("x" * 4000)
    except OSError as error:
        print("full at", n, error.errno)
    """
    hub = bench.add_hub(HUB, files=firmware(source), flash_size=64 * 4096)
    blocks, error = hub.wait_log(">>>").split("full at ")[1].split()[:2]
    assert 20 < int(blocks) < 64
    assert error == "28"


def test_unchanged_data_survives_new_firmware(bench: Bench, firmware, tmp_path) -> None:
    bench.add_hub(
        HUB, files=firmware("with open('/data', 'w') as f: f.write('mine')\nprint('end')", old="x = 1")
    )
    bench.hubs[HUB].wait_log("end")
    bench.cut_power()
    with Bench(bench.folder) as again:
        hub = again.add_hub(HUB, files=firmware("print('new', open('/data').read())"))
        hub.wait_log("new mine")
        assert set(hub.flash_files()) == {"/main.py", "/data"}


def test_accelerated_time(bench: Bench, firmware) -> None:
    source = """
    import asyncio, time
    async def main():
        a = time.ticks_ms(); c = time.time()
        for _ in range(60):
            await asyncio.sleep(1)
        print("passed", time.ticks_diff(time.ticks_ms(), a) // 1000, time.time() - c)
    asyncio.run(main())
    """
    start = time.monotonic()
    log = bench.add_hub(HUB, files=firmware(source), speed=60).wait_log("passed")
    assert time.monotonic() - start < 5
    assert 60 <= int(bench.hubs[HUB].wait_log("\n").split("passed ")[1].split()[0]) < 90, log


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: b.press("kitchen"), "no sensor 'kitchen'"),
        (lambda b: b.cut_power("other"), "say which hub"),
        (lambda b: b.mains(False), "mains sense"),
        (lambda b: b.add_hub(HUB, files={}), "on the bench already"),
        (lambda b: b.add_sensor("bedroom", "button", "A4:C1:38:00:00:01"), "already"),
        (lambda b: b.add_hub("other00000", files={}, wiring={"bedroom": 4}), "already"),
        (lambda b: b.link_fault(None, "bent"), "link fault"),
    ],
)
def test_misuse_says_what_to_do(bench: Bench, firmware, call, says) -> None:
    bench.add_hub(HUB, files=firmware(IDLE), wiring={"bedroom": Wire(4)})
    with pytest.raises(BenchError, match=says):
        call(bench)
