# First thing a simulated hub runs: stand-ins, flash at "/", boot.py, main.py; then the REPL.
import asyncio  # before the stand-in for time: asyncio keeps the unwrapped clock
import asyncio.stream  # noqa: F401  before the stand-in for sys
import os
import sys
import termios

import _bench
import _console
import _loop  # noqa: F401  puts itself into asyncio
import micropython
import vfs

_ISIG = 1
_BLOCK = 4096
_MARK = "\x00\x01BOOTED\x01\x00"  # tells the bench that the REPL comes next


class _MicroPython:
    def __getattr__(self, name):
        return getattr(micropython, name)

    def kbd_intr(self, char):
        settings = termios.tcgetattr(0)
        settings[3] = (settings[3] & ~_ISIG) if char < 0 else (settings[3] | _ISIG)
        termios.tcsetattr(0, termios.TCSANOW, settings)

    def alloc_emergency_exception_buf(self, size):
        pass


class _Flash:
    # A NOR flash in a file: an erase is a write of ones, and a program happens after it. Allocates nothing:
    # a file that the collector closes gets here with the heap locked.
    def __init__(self, path, offset, block, count):
        self.block = block
        self.start = offset
        self.count = count
        self.file = open(path, "r+b")  # noqa: SIM115  open as long as the hub runs
        self.ones = bytes(b"\xff" * block)
        self.left = 0  # operations until the supply goes inside one; 0: it stays

    def cut_inside(self, operations):
        """The supply goes half-way through the operations-th erase or program from now."""
        self.left = operations

    def write(self, data):
        if self.left:
            self.left -= 1
            if not self.left:
                self.file.write(data, len(data) // 2)
                _bench.halt()
        self.file.write(data)

    def readblocks(self, number, buffer, offset=0):
        self.file.seek(self.start + number * self.block + offset)
        self.file.readinto(buffer)

    def writeblocks(self, number, buffer, offset=0):
        self.file.seek(self.start + number * self.block + offset)
        self.write(buffer)

    def ioctl(self, op, arg):
        if op == 4:
            return self.count
        if op == 5:
            return self.block
        if op == 6:
            self.file.seek(self.start + arg * self.block)
            self.write(self.ones)
        return 0


def _volume(flash):
    # As MicroPython's own first scripts have it: an erased partition becomes a volume with nothing on it.
    try:
        return vfs.VfsLfs2(flash)
    except OSError:
        block = bytearray(flash.block)
        flash.readblocks(0, block)
        if block != flash.ones:
            print("The filesystem on the flash is corrupted: flash the board again")
            return None
        vfs.VfsLfs2.mkfs(flash)
        return vfs.VfsLfs2(flash)


def _fill(full):
    # In few large files first: thousands of small writes would keep the hub from its work.
    if not full:
        try:
            os.remove("/filler")
        except OSError:
            pass
        return
    for size in (1 << 20, 1 << 16, _BLOCK, 256, 16):
        data = bytes(min(size, _BLOCK))
        try:
            while True:
                with open("/filler", "ab") as file:
                    for _ in range(size // len(data)):
                        file.write(data)
        except OSError:
            pass


def _import(name):
    # The stand-in of that name from its file, even where a built-in module has it too.
    sys.modules.pop(name, None)
    module = __import__(name)
    sys.modules[name] = module
    return module


def _run(name, main):
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return
    try:
        exec(compile(source, name, "exec"), main)  # noqa: S102  the hub's own script
    except SystemExit:
        _bench.die("soft_reset")
    except BaseException as error:
        sys.print_exception(error)


def start(main):
    """main is the dictionary of __main__, where boot.py and main.py run and the REPL looks."""
    state = _bench.state
    sys.path.insert(0, sys.path[0] + "/modules")
    for name in ("time", "machine", "esp32", "network", "socket", "bluetooth"):
        _import(name)
    sys.modules["micropython"] = _MicroPython()
    sys.modules["sys"] = _console.Sys()
    flash = _Flash(state["flash"], state["offset"], state["block"], state["blocks"])
    volume = _volume(flash) if state["blocks"] else None
    vfs.umount("/")
    if volume:
        vfs.mount(volume, "/")
        os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    _bench.handlers["full"] = _fill
    _bench.handlers["cut"] = flash.cut_inside
    _bench.handlers["round"] = lambda number: _bench.send("round", number)
    if state["full"] is not None:
        _fill(state["full"])
    _bench.send("hi", _bench.up_us())
    _run("boot.py", main)
    if not state["raw"]:
        _run("main.py", main)
    sys.stdout.write(_MARK)
