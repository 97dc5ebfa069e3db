"""On PYTHONPATH of a program that opens rfc2217:// ports: pyserial waits there for an answer to each setting,
and esptool changes one twice a command; now it looks for the answer after 1 ms and not after 50."""

import contextlib
import time

with contextlib.suppress(ImportError):
    import serial.rfc2217

    class _Time:
        def __getattr__(self, name: str) -> object:
            return getattr(time, name)

        @staticmethod
        def sleep(seconds: float) -> None:
            time.sleep(seconds / 50)

    serial.rfc2217.time = _Time()  # type: ignore[attr-defined]
