"""Real mpremote, and a daemon with pyserial, on the pty of a running hub."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import serial

from kanhu.sim import Bench

HUB = "k3v9m2x7qa"
RUNNING = """
import asyncio, sys, machine
async def main():
    n = 0
    while True:
        print("tick", n, machine.reset_cause())
        n += 1
        await asyncio.sleep_ms(50)
asyncio.run(main())
"""


def mpremote(hub, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", str(hub.tty), *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def hub(bench: Bench, firmware):
    hub = bench.add_hub(HUB, files=firmware(RUNNING, helper="x = 'hello'"))
    hub.wait_log("tick 3")
    return hub


def test_files_are_those_on_the_flash(hub) -> None:
    listing = mpremote(hub, "fs", "ls")
    assert "main.py" in listing
    assert "a/" in listing
    assert "tick" in mpremote(hub, "fs", "cat", ":main.py")
    assert "helper.py" in mpremote(hub, "fs", "ls", ":a")


def test_exec_eval_and_copy(hub, tmp_path) -> None:
    assert (
        mpremote(hub, "exec", "import sys; sys.path.append('/a'); import helper; print(helper.x)").strip()
        == "hello"
    )
    assert mpremote(hub, "eval", "1 + 1").strip() == "2"
    assert "esp32" in mpremote(hub, "exec", "import sys; print(sys.platform)")
    local = tmp_path / "table.bin"
    local.write_bytes(bytes(range(256)) * 20)
    mpremote(hub, "fs", "cp", str(local), ":table.bin")
    assert hub.flash_files()["/table.bin"] == local.read_bytes()
    back = tmp_path / "back.bin"
    mpremote(hub, "fs", "cp", ":table.bin", str(back))
    assert back.read_bytes() == local.read_bytes()


def test_after_a_visit_the_watchdog_brings_it_back(bench: Bench, firmware) -> None:
    hub = bench.add_hub(
        HUB,
        files=firmware(
            "import machine\nwdt = machine.WDT(timeout=4000)\n"
            + RUNNING.replace("n += 1", "n += 1; wdt.feed()")
        ),
    )
    hub.wait_log("tick 3")
    mpremote(
        hub, "fs", "ls"
    )  # leaves it at the REPL: main.py runs on after no mpremote command, as on a board
    mark = hub.log_position()
    time.sleep(0.3)
    assert "tick" not in hub.log(mark)
    mpremote(hub, "soft-reset")
    hub.wait_log("tick 3 3", after=mark)


def test_reset_is_a_hard_one(hub) -> None:
    mark = hub.log_position()
    mpremote(hub, "reset")
    hub.wait_log("tick 3 2", after=mark)


def test_a_script_runs_from_the_desk(hub, tmp_path) -> None:
    script = tmp_path / "look.py"
    script.write_text("import esp32\nprint('generation', esp32.NVS('kanhu').get_i32('generation'))\n")
    assert "generation 1" in mpremote(hub, "run", str(script))


def test_keyboard_interrupt_then_repl_then_ctrl_d(hub) -> None:
    with serial.Serial(str(hub.tty), timeout=5) as port:
        port.write(b"\x03")
        assert b"KeyboardInterrupt" in port.read_until(b">>> ")
        port.write(b"print(6 * 7)\r")
        assert b"42" in port.read_until(b"42\r\n")
        mark = hub.log_position()
        port.write(b"\x04")
        assert b"soft reboot" in port.read_until(b"soft reboot\r\n")
    hub.wait_log("tick 2 5", after=mark)


def test_nobody_reading_does_not_hold_the_hub(bench: Bench, firmware) -> None:
    source = """
    for n in range(20000):
        print("line %06d of a hub that nobody listens to" % n)
    print("done")
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("done", 20)
    with serial.Serial(str(hub.tty), timeout=0.2) as port:
        assert b"line" not in port.read(100)  # nothing stale for who comes late


def test_a_slow_reader_does_not_hold_the_hub(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware("import time; time.sleep(1)\nprint('x' * 300000); print('done')"))
    with serial.Serial(str(hub.tty), timeout=0.2) as port:
        time.sleep(0.1)
        hub.wait_log("done", 20)
        assert 0 < len(port.read(300000)) < 300000


def test_frames_flow_both_ways_beside_text(bench: Bench, firmware) -> None:
    source = """
    import asyncio, sys
    async def main():
        port = asyncio.StreamReader(sys.stdin.buffer)
        print("log line")
        while True:
            byte = await port.read(1)
            sys.stdout.buffer.write(b"\\x7e" + bytes([byte[0] ^ 1]) + b"\\x7e")
    asyncio.run(main())
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("log line\n")
    with serial.Serial(str(hub.tty), timeout=3) as port:
        time.sleep(0.1)
        port.write(bytes(b for b in range(256) if b != 3))
        got = port.read(255 * 3)
    assert got == b"".join(b"\x7e" + bytes([b ^ 1]) + b"\x7e" for b in range(256) if b != 3)
    assert hub.running


def test_stdin_blocks_for_all_bytes_as_on_a_board(bench: Bench, firmware) -> None:
    source = """
    import sys, select
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    print("ready", len(poll.poll(0)))
    print("got", sys.stdin.buffer.read(4), len(poll.poll(0)))
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("ready 0")
    with serial.Serial(str(hub.tty), timeout=3) as port:
        time.sleep(0.1)
        port.write(b"ab")
        time.sleep(0.3)
        assert "got" not in hub.log()
        port.write(b"cd")
        hub.wait_log("got b'abcd' 0")


def test_the_tty_keeps_its_name_and_goes_with_the_bench(tmp_path, firmware) -> None:
    with Bench(tmp_path) as bench:
        hub = bench.add_hub(HUB, files=firmware(RUNNING))
        name = hub.tty.resolve()
        bench.cut_power()
        bench.power()
        assert hub.tty.resolve() == name
        assert hub.tty.exists()
    assert not hub.tty.is_symlink()


def test_ctrl_c_leaves_heap_and_locks_whole(bench: Bench, firmware) -> None:
    """It waits for the program's next step, wherever in the collector or the parser it comes."""
    source = """
    import gc
    kept = [[n] for n in range(2000)]
    seen = 0
    while True:
        try:
            print("seen", seen)  # in here: the next one may come before this has ended
            while True:
                gc.collect()
                exec("name_%d = 1" % seen)
        except KeyboardInterrupt:
            seen += 1
            kept[seen] = bytearray(50)
    """
    hub = bench.add_hub(HUB, files=firmware(source))
    hub.wait_log("seen 0\n", 20)
    with serial.Serial(str(hub.tty), timeout=5) as port:
        for n in range(1, 101):
            port.write(b"\x03")
            hub.wait_log(f"seen {n}\n", 20)
    assert hub.boots == 1
