"""Record Access Control Point (0x2A52): what is asked of stored records, and the answers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from kanhu.sim.monitors import values

REPORT, DELETE, ABORT, COUNT, COUNT_IS, ANSWER = range(1, 7)  # op codes
ALL, UP_TO, FROM, WITHIN, FIRST, LAST = range(1, 7)  # operators; 0 is null
BY_NUMBER, BY_TIME = 1, 2  # filters


class Result(IntEnum):
    """Response codes."""

    SUCCESS = 1
    OP_CODE = 2  # not supported
    INVALID_OPERATOR = 3
    OPERATOR = 4  # not supported
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    NOT_ABORTED = 7
    NOT_COMPLETED = 8
    OPERAND = 9  # not supported


class Answer:
    """Whole answers."""

    ABORTED = bytes((ANSWER, 0, ABORT, Result.SUCCESS))


@dataclass(frozen=True)
class Request:
    """One procedure; refusal says why it cannot be done."""

    code: int
    operator: int = 0
    low: int | datetime | None = None
    high: int | datetime | None = None
    refusal: Result | None = None

    @property
    def abort(self) -> bool:
        return self.code == ABORT and self.refusal is None

    @property
    def counts(self) -> bool:
        return self.code == COUNT

    @property
    def deletes(self) -> bool:
        return self.code == DELETE

    @property
    def reports(self) -> bool:
        return self.code == REPORT

    def answer(self, result: Result) -> bytes:
        return bytes((ANSWER, 0, self.code, result))

    def count(self, number: int) -> bytes:
        return struct.pack("<BBH", COUNT_IS, 0, number)

    def choose(self, records: Sequence[tuple[int, datetime | None]]) -> list[int]:
        """Which of them it means, oldest first; a record without a time is in no span of time."""
        every = list(range(len(records)))
        if self.operator == ALL:
            return every
        if self.operator in (FIRST, LAST):
            return every[:1] if self.operator == FIRST else every[-1:]
        return [i for i in every if self._within(*records[i])]

    def _within(self, number: int, moment: datetime | None) -> bool:
        for bound, sign in ((self.low, 1), (self.high, -1)):
            if isinstance(bound, datetime):
                if moment is None or (moment - bound).total_seconds() * sign < 0:
                    return False
            elif bound is not None and (number - bound) * sign < 0:
                return False
        return True


def parse(data: bytes) -> Request:
    """Of what was written; never raises: a request that makes no sense says how it is refused."""
    code, operator = (data + b"\0\0")[:2]
    if code == ABORT:
        return Request(code, refusal=None if operator == 0 else Result.INVALID_OPERATOR)
    if code not in (REPORT, DELETE, COUNT):
        return Request(code, refusal=Result.OP_CODE)
    if operator == 0:
        return Request(code, refusal=Result.INVALID_OPERATOR)
    if operator > LAST:
        return Request(code, refusal=Result.OPERATOR)
    if operator in (ALL, FIRST, LAST):
        return Request(code, operator, refusal=Result.INVALID_OPERAND if data[2:] else None)
    try:
        bounds = _bounds(data[2:], 2 if operator == WITHIN else 1)
    except _NoSuchOperand:
        return Request(code, refusal=Result.OPERAND)
    except (ValueError, struct.error):
        return Request(code, refusal=Result.INVALID_OPERAND)
    low = None if operator == UP_TO else bounds[0]
    high = None if operator == FROM else bounds[-1]
    return Request(code, operator, low, high)


class _NoSuchOperand(Exception):
    """A filter that this meter does not know."""


def _bounds(operand: bytes, number: int) -> list[int | datetime]:
    kind = operand[0] if operand else 0
    if kind not in (BY_NUMBER, BY_TIME):
        raise _NoSuchOperand
    size = 2 if kind == BY_NUMBER else 7
    if len(operand) != 1 + number * size:
        raise ValueError("too much or too little")
    parts = [operand[1 + i * size : 1 + (i + 1) * size] for i in range(number)]
    if kind == BY_NUMBER:
        return [int(struct.unpack("<H", part)[0]) for part in parts]
    return [values.read_date_time(part) for part in parts]
