"""ROM loaders of simulated chips: a program of its own, `python rom.py FD`: what it imports is esptool's.

On the control socket FD comes one JSON object for each run, {"chip", "mac", "flash", "cut_after"}, with two
descriptors: the UART and a pipe for notes. A child process is that loader. It notes its pid, then `cut` when
the supply was cut in the middle of a write, or `boot` when it is left for what is in the flash.
"""
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import socket
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from esp32_mock_bootloader import chips, protocol, registers, server

SECTOR = protocol.FLASH_SECTOR_SIZE
MAKER = 0x4020  # JEDEC type and manufacturer as in the mock's own flash id; the size is log2 of the bytes
C3_REVISION_AT = 0x44 + 12  # word of eFuse block 1 that has the C3's wafer version, low bits from bit 18
C3_REVISION = 4 << 18  # v0.4: MicroPython's image wants v0.3 or newer
STUB_FLASH_ERROR, STUB_INFLATE_ERROR = 0xC4, 0xC7  # serial protocol, stub loader's errors
ROM_FLASH_ERROR, ROM_DEFLATE_ERROR = 0x08, 0x0B  # the ROM's
REQUEST = 4096  # bytes of a request, filled up with spaces: the control socket is a stream


class PowerCut(Exception):
    """The supply is gone."""


class Boot(Exception):
    """The loader is left for what is in the flash."""


class Flash(server.FlashImage):
    """NOR flash in a file: a program clears bits; an erase sets them, sector by sector ahead of a write."""

    def __init__(self, path: str, cut_after: int | None) -> None:
        with open(path, "r+b") as file:
            self.data = mmap.mmap(file.fileno(), 0)
        self._left = cut_after
        self._at = self._erased = 0
        self._inflate: Any = None

    def begin(self, offset: int, compressed: bool) -> None:
        self._at, self._erased = offset, offset - offset % SECTOR
        self._inflate = zlib.decompressobj() if compressed else None

    def program(self, block: bytes) -> None:
        """zlib.error: not a part of the stream; ValueError: past the end."""
        if self._inflate:
            block = self._inflate.decompress(block)
        end = self._at + len(block)
        if end > len(self.data):
            raise ValueError(f"{end:#x} is past the end of the flash")
        cut = self._left is not None and len(block) >= self._left
        if cut:
            block = block[: self._left]
            end = self._at + len(block)
        elif self._left is not None:
            self._left -= len(block)
        if self._erased < end:
            ahead = -(-end // SECTOR) * SECTOR
            self.data[self._erased : ahead] = b"\xff" * (ahead - self._erased)
            self._erased = ahead
        old = int.from_bytes(self.data[self._at : end], "little")
        self.data[self._at : end] = (old & int.from_bytes(block, "little")).to_bytes(len(block), "little")
        self._at = end
        if cut:
            raise PowerCut


class Spi(server.SpiPeripheralMock):
    """The flash chip answers with the size that it has."""

    def __init__(self, chip: str, size: int) -> None:
        super().__init__(None)
        self.configure_for_chip(chip)
        self.id = (size.bit_length() - 1) << 16 | MAKER

    def read_reg(self, addr: int) -> int:
        value = super().read_reg(addr)
        return self.id if value == protocol.MOCK_FLASH_ID else value


class Loader:
    """One run of the ROM's loader, and of the stub that it loads."""

    def __init__(self, uart: socket.socket, chip: str, mac: bytes, flash: Flash) -> None:
        self.uart, self.flash, self.chip, self.mac = uart, flash, chip, mac
        self.frames = self._frames()
        self._restart()

    def _restart(self) -> None:
        self.session = server.ChipSession(self.chip)
        self.session.spi = Spi(self.chip, len(self.flash.data))
        self.session.registers.update(registers._mac_registers(self.chip, tuple(self.mac)))
        if self.chip == "esp32c3":
            self.session.registers[chips.PROFILES[self.chip].efuse_base + C3_REVISION_AT] = C3_REVISION
        self.ram = server.RamImage()

    def serve(self) -> None:
        for frame in self.frames:
            if len(frame) < 8 or frame[0]:
                continue
            command, size, checksum = struct.unpack_from("<xBHI", frame)
            data = frame[8 : 8 + size]
            if len(data) < size:
                continue
            answer = self.answer(command, checksum, data)
            if answer:
                self.uart.sendall(answer)
            if command in (protocol.CMD["FLASH_END"], protocol.CMD["FLASH_DEFL_END"]):
                self.leave(struct.unpack_from("<I", data)[0])
            elif command == protocol.CMD["RUN_USER_CODE"]:
                raise Boot

    def _frames(self) -> Iterator[bytes]:
        buffer = b""
        while chunk := self.uart.recv(1 << 16):
            *parts, buffer = (buffer + chunk).split(b"\xc0")
            for part in parts:
                if part:
                    yield part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")

    def answer(self, command: int, checksum: int, data: bytes) -> bytes:
        session, stub = self.session, self.session.stub_active
        name = {number: name for name, number in protocol.CMD.items()}.get(command)

        def say(error: int = 0) -> bytes:
            return server.make_response(command, status=int(bool(error)), error=error, stub=stub)

        if not server.checksum_valid(command, checksum, data):
            return say(protocol.STUB_CHECKSUM_ERROR if stub else protocol.ROM_CHECKSUM_ERROR)
        match name:
            case "SYNC":
                return server.make_sync_response(stub=stub) * 8
            case "READ_REG":
                return server.handle_read_reg(data, session)
            case "WRITE_REG":
                return server.handle_write_reg(data, session)
            case "GET_SECURITY_INFO":
                return server.handle_get_security_info(session)
            case "MEM_BEGIN":
                self.ram.begin(data)
            case "MEM_DATA":
                self.ram.write_block(data)
            case "MEM_END":
                stays, entry = struct.unpack_from("<II", data)
                session.stub_active = not stays and bool(entry)
                stub = session.stub_active
                return say() + (server.slip_encode(b"OHAI") if stub else b"")
            case "FLASH_BEGIN" | "FLASH_DEFL_BEGIN":
                self.flash.begin(struct.unpack_from("<12xI", data)[0], name == "FLASH_DEFL_BEGIN")
            case "FLASH_DATA" | "FLASH_DEFL_DATA":
                try:
                    self.flash.program(protocol.data_command_payload(data))
                except zlib.error:
                    return say(STUB_INFLATE_ERROR if stub else ROM_DEFLATE_ERROR)
                except ValueError:
                    return say(STUB_FLASH_ERROR if stub else ROM_FLASH_ERROR)
            case "FLASH_END" | "FLASH_DEFL_END" | "SPI_SET_PARAMS" | "SPI_ATTACH" | "CHANGE_BAUDRATE":
                pass
            case "SPI_FLASH_MD5":
                return self.flash.md5_stub_response(data, stub=stub)
            case "READ_FLASH_SLOW":
                return server.handle_read_flash_slow(data, self.flash, session)
            case "ERASE_FLASH" if stub:
                self.flash.erase_all()
            case "ERASE_REGION" if stub:
                self.flash.erase_region(*struct.unpack_from("<II", data))
            case "READ_FLASH" if stub:
                self.uart.sendall(say())
                self.stream(*struct.unpack_from("<IIII", data))
                return b""
            case "RUN_USER_CODE" if stub:
                return b""
            case _:
                return say(protocol.STUB_UNIMPLEMENTED if stub else protocol.ROM_INVALID_MESSAGE)
        return say()

    def stream(self, offset: int, length: int, packet: int, window: int) -> None:
        """Stub's READ_FLASH: packets that the host acknowledges by the bytes it has, then their MD5."""
        sent = got = 0
        while got < length:
            while sent < length and sent - got < packet * window:
                chunk = self.flash.read(offset + sent, min(packet, length - sent))
                self.uart.sendall(_slip(chunk))
                sent += len(chunk)
            got = struct.unpack_from("<I", next(self.frames))[0]
        self.uart.sendall(_slip(hashlib.md5(self.flash.read(offset, length)).digest()))  # noqa: S324

    def leave(self, stay: int) -> None:
        """After FLASH_END: the ROM runs the application; the stub stays, or resets and is gone."""
        if not self.session.stub_active:
            raise Boot
        if not stay:
            self._restart()


def _slip(data: bytes) -> bytes:
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def child(request: dict[str, Any], uart: socket.socket, notes: int) -> None:
    os.write(notes, b"pid %d\n" % os.getpid())
    try:
        flash = Flash(request["flash"], request["cut_after"])
        Loader(uart, request["chip"], bytes.fromhex(request["mac"]), flash).serve()
    except PowerCut:
        os.write(notes, b"cut\n")
    except Boot:
        os.write(notes, b"boot\n")
    except (StopIteration, OSError):  # the other end is gone
        pass


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the bench ends us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, REQUEST, 2)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            child(json.loads(request), socket.socket(fileno=descriptors[0]), descriptors[1])
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    main()
