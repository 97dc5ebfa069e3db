# asyncio on the bench: waits for the bench's messages beside the sockets, at the hub's own pace of time.
import asyncio
import select
from asyncio import core
from asyncio.event import ThreadSafeFlag

import _bench


class IOQueue:
    def __init__(self):
        self.poller = select.poll()
        self.poller.register(_bench.stream, select.POLLIN)
        self.map = {}  # id(stream) -> [reading task, writing task, stream]
        self.flags = []

    def _wait_for(self, stream, side):
        entry = self.map.get(id(stream))
        if entry is None:
            self.map[id(stream)] = entry = [None, None, stream]
            if isinstance(stream, ThreadSafeFlag):
                self.flags.append(stream)  # set on this thread only: no need to poll it each millisecond
        entry[side] = core.cur_task
        core.cur_task.data = self
        self._register(entry)

    def _register(self, entry):
        reading, writing, stream = entry
        if isinstance(stream, ThreadSafeFlag):
            if reading is None:
                self.flags.remove(stream)
                del self.map[id(stream)]
        elif reading is None and writing is None:
            self.poller.unregister(stream)
            del self.map[id(stream)]
        else:
            self.poller.register(
                stream, (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0)
            )

    def queue_read(self, stream):
        self._wait_for(stream, 0)

    def queue_write(self, stream):
        self._wait_for(stream, 1)

    def remove(self, task):
        for entry in list(self.map.values()):
            if task in entry[:2]:
                entry[entry.index(task)] = None
                self._register(entry)

    def wait_io_event(self, dt):
        if self._wake_flags() or _bench.inbox:  # a call may have read more than its answer
            dt = 0
        elif dt > 0:
            dt = (dt + _bench.SPEED - 1) // _bench.SPEED
        for stream, event in self.poller.ipoll(dt):
            if stream is _bench.stream:
                continue
            entry = self.map[id(stream)]
            for side, mask in ((0, ~select.POLLOUT), (1, ~select.POLLIN)):
                if event & mask and entry[side] is not None:
                    core._task_queue.push(entry[side])
                    entry[side] = None
            self._register(entry)
        _bench.poll()
        self._wake_flags()

    def _wake_flags(self):
        ready = [flag for flag in self.flags if flag.state]
        for flag in ready:
            entry = self.map[id(flag)]
            core._task_queue.push(entry[0])
            entry[0] = None
            self._register(entry)
        return ready


def ticks():
    # Ahead of the native clock, which asyncio's C code stamps tasks with that are to run at once.
    return (_bench.zero_us + _bench.up_us()) // 1000


core.IOQueue = IOQueue
if _bench.SPEED != 1:
    core.ticks = ticks
    asyncio.ticks = ticks
core.new_event_loop()
