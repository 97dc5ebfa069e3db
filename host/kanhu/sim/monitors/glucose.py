"""Glucose (0x1808): a meter that keeps its records and reports them on request (RACP, 0x2A52)."""

from __future__ import annotations

import asyncio
import random
import struct
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bumble import att
from bumble.device import Connection
from bumble.gatt import Characteristic

from kanhu.sim.monitors import values
from kanhu.sim.monitors.base import Monitor
from kanhu.sim.monitors.racp import Answer, Request, Result, parse
from kanhu.sim.monitors.services import INDICATE, NOTIFY, WRITE, readable
from kanhu.sim.monitors.values import Number

OFFSET, CONCENTRATION, MOLES, STATUS, CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10  # flags of 0x2A18
CAPILLARY_WHOLE, CONTROL = 1, 10  # type of sample
FINGER = 1  # where it was taken
FEATURES = 0x0001 | 0x0020  # 0x2A51: low battery, result high-low
IMPROPERLY_CONFIGURED, IN_PROGRESS = att.ErrorCode(0xFD), att.ErrorCode(0xFE)
PACE_S = 0.02  # between two records


class Record(NamedTuple):
    number: int
    moment: datetime | None  # user facing: base time and offset
    data: bytes
    context: bytes | None


class Glucose(Monitor):
    SERVICE = 0x1808
    NAME = "KH-G1"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.records: list[Record] = []
        self._number = 0  # of the next record
        self._reported = 0  # records below this number have been
        self._request: Request | None = None
        self._aborted = False

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A18", NOTIFY, Characteristic.Permissions(0))

    def others(self) -> list[Characteristic[bytes]]:
        self._context: Characteristic[bytes] = Characteristic("2A34", NOTIFY, Characteristic.Permissions(0))
        write: att.AttributeValue[bytes] = att.AttributeValue(write=self._asked)
        self._control: Characteristic[bytes] = Characteristic(
            "2A52", WRITE | INDICATE, Characteristic.WRITEABLE, write
        )
        return [self._context, readable("2A51", lambda: struct.pack("<H", FEATURES)), self._control]

    def encode(
        self,
        *,
        glucose: Number | None,
        moles: bool = False,
        sample: int = CAPILLARY_WHOLE,
        where: int = FINGER,
        status: int | None = None,
        offset_min: int | None = None,
        at: datetime | None = None,
        number: int | None = None,
        follows: bool = False,
    ) -> bytes:
        """mg/dL, or mmol/L if moles; None: a record without concentration; at is its base time."""
        flags = CONTEXT if follows else 0
        data = struct.pack("<H", self._number if number is None else number)
        data += values.date_time(at or self.now())
        if offset_min is not None:
            flags |= OFFSET
            data += struct.pack("<h", offset_min)
        if glucose is not None:
            flags |= CONCENTRATION | (MOLES if moles else 0)
            # kg/L: 1 mg/dL is 10 ** -5 of it; mol/L: 1 mmol/L is 10 ** -3, given to a tenth.
            if isinstance(glucose, str) or not moles:
                scaled: Number = glucose if isinstance(glucose, str) else glucose * 1e-5
                data += values.sfloat(scaled, -5)
            else:
                data += values.sfloat(glucose * 1e-3, -4)
            data += bytes((where << 4 | sample,))
        if status is not None:
            flags |= STATUS
            data += struct.pack("<H", status)
        return bytes((flags,)) + data

    async def measure(self, meal: int | None = None, **fields: Any) -> bytes:
        """Keep a record and go on the air; meal (1 before, 2 after, 3 fasting) follows as its context."""
        data = self.encode(follows=meal is not None, **fields)
        context = None
        if meal is not None:
            context = b"\x02" + struct.pack("<H", self._number) + bytes((meal,))
        moment = fields.get("at") or self.now()
        if moment is not None:
            moment += timedelta(minutes=fields.get("offset_min") or 0)
        self.records.append(Record(self._number, moment, data, context))
        self._number = (self._number + 1) & 0xFFFF
        if len(self.records) > self.manners.stores:
            self._note("overwritten", self.records.pop(0).data.hex())
        await self.wake()
        return data

    def pending(self) -> bool:
        return any(record.number >= self._reported for record in self.records)

    def example(self) -> dict[str, Any]:
        return {"glucose": random.randint(82, 142), "meal": 3}

    # Record access

    def _asked(self, connection: Connection, data: bytes) -> None:
        self.admit(connection)
        if not (self.subscribed(connection, self.value) and self.subscribed(connection, self._control)):
            raise att.ATT_Error(IMPROPERLY_CONFIGURED)
        request = parse(data)
        if request.abort:
            self._aborted = True
        elif self._request is not None:
            raise att.ATT_Error(IN_PROGRESS)
        self._note("asked", data.hex())
        self._request = self._request or request
        self._stirred.set()

    async def speak(self, connection: Connection) -> float | None:
        request = self._request
        if request is None:
            return None
        try:
            answer = await self._answer(connection, request)
        finally:
            self._request, self._aborted = None, False
        if connection is self._connection and await self.indicate(connection, self._control, answer):
            self._delivered += request.reports
        return None

    async def _answer(self, connection: Connection, request: Request) -> bytes:
        if request.abort:
            return request.answer(Result.SUCCESS)
        if request.refusal is not None:
            return request.answer(request.refusal)
        chosen = request.choose([(record.number, record.moment) for record in self.records])
        found = [self.records[i] for i in chosen]
        if request.counts:
            return request.count(len(found))
        if not found:
            return request.answer(Result.NO_RECORDS)
        if request.deletes:
            self.records = [record for record in self.records if record not in found]
            return request.answer(Result.SUCCESS)
        for i, record in enumerate(found):
            if self._aborted:
                return Answer.ABORTED
            if connection is not self._connection:
                break
            if self._drops_left > 0 and i >= len(found) // 2:
                self._drops_left -= 1
                self._note("dropped")
                await self._hang_up("dropped")
                break
            await self.notify(connection, self.value, record.data)
            if record.context is not None and self.subscribed(connection, self._context):
                await self.notify(connection, self._context, record.context)
            self._hear()
            self._reported = max(self._reported, record.number + 1)
            await asyncio.sleep(PACE_S)
        return request.answer(Result.SUCCESS)
