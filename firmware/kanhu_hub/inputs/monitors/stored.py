"""A glucose meter's records: asked for at its control point, only the new ones. Loaded for its sessions."""

import asyncio

from micropython import const

from kanhu_hub.inputs.monitors.monitor import SEQUENCE
from kanhu_protocol import kinds as k

_QUIET_MS = const(10_000)  # ours: between two records, or before the answer
_LONGEST_MS = const(600_000)  # ours: of a session; the next one goes on after the last record
_LAST = b"\x01\x06"  # report the last record: GATT Specification Supplement, Record Access Control Point


class Records:
    """collect() in a session; heard() gets what the meter says meanwhile."""

    def __init__(self, session, link, profile):
        self._session = session
        self._link = link
        self._profile = profile
        self._facts = session.monitor.facts
        self._answer = None
        self._held = None  # (number, fields) of the newest record: whether it is the last is not known yet
        self._looks = False  # only at the number of the last one
        self._number = None  # last heard of
        self._known = None  # records up to that one have been said: a meter may give all of them again
        self._new = False

    def heard(self, number, data, fields):
        """A record, or the control point's answer."""
        if number == self._profile.CONTROL_POINT:
            self._answer = data
        elif fields:
            self._number = self._profile.sequence(data)
            if not self._looks and (self._known is None or self._number > self._known):
                self._new = True
                self._say(k.HISTORICAL)
                self._held = self._number, fields

    def _say(self, flags):
        if self._held:
            number, fields = self._held
            self._held = None
            if flags:
                fields[k.FLAGS] = fields.get(k.FLAGS, 0) | flags
            self._session.gave = self._session.fine = True
            if self._session.say(fields) and not self._link.missed:
                self._facts[SEQUENCE] = number

    def end(self):
        """No more will come."""
        self._say(0)

    async def collect(self):
        """Ask for the records after the last one known; of a meter that counts anew, for all."""
        profile, newest = self._profile, self._facts[SEQUENCE]
        self._known = newest
        for request in profile.requests(newest):
            if await self._asked(request):
                break
        if newest is None or self._new:
            return
        if self._number is None:
            self._looks = True
            await self._asked(_LAST)
            self._looks = False
        if self._number is not None and self._number < newest:
            self._known = None
            await self._asked(profile.requests(None)[0])
        else:
            self._session.fine = True  # it has nothing new

    async def _asked(self, request):
        session, link = self._session, self._link
        handles = [one for one, number in session.handles.items() if number == self._profile.CONTROL_POINT]
        self._answer = None
        if not handles or await session.do(link.write, handles[0], request):
            session.malformed += 1
            return False
        while session.app.clock.now_ms() - session.began_ms < _LONGEST_MS:
            link.news.clear()
            session.take()
            if self._answer:
                return self._profile.done(self._answer)
            if link.gone:
                return False
            await asyncio.wait_for_ms(link.news.wait(), _QUIET_MS)
        raise asyncio.TimeoutError
