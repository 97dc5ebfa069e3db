"""A hub on a fake board and the host it talks to: time and links are the case's."""

import asyncio

from fake_board import Board, Nvs, Pin, Time, virtual
from fake_host import HUB, KEY, Host, Link

from kanhu_hub.app import App
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

FOLDER = ""  # the case's own
BUTTON = 4
PIR = 13


class Home:
    """One hub through its boots, and the host it talks to."""

    def __init__(self, links=("mqtt",), config=None, answer=True, tick_start=0):
        settings = {"heartbeat": 300}
        settings.update(config or {})
        self.nvs = Nvs(hub_id=HUB.encode(), key=KEY, generation=1, config=cbor.dumps(settings))
        self.time = Time(tick_start)
        self.link_names = links
        self.answer = answer  # the host stores what it hears
        self.heard = []  # (ms, link, lane, (boot, seq), event)
        self.boots = 0
        self.start()

    def start(self):
        virtual(self.time)
        self.links = [Link(name) for name in self.link_names or ()]
        self.board = Board(self.nvs, self.time)
        self.board.pins[PIR] = Pin()  # a sensor that sees nothing
        self.began = self.time.ms
        self.app = App(self.board, FOLDER + "/data", self._make_links if self.link_names else None)
        self.boots += 1
        self.host = Host(self.nvs.values["boot"])
        self.host.epoch += self.boots

        async def begin():
            self.app.start()
            self._tasks = (
                asyncio.create_task(self._serve()),
                asyncio.create_task(self.app.supervisor.run()),
            )

        asyncio.run(begin())
        self.run(1)

    def _make_links(self, board, config, boot, clock):
        return self.links

    async def _serve(self):
        while True:
            for link in self.links:
                sent, link.sent = link.sent, []
                for lane, _, payload in sent:
                    names = []
                    for name, event in self.host.open(payload):
                        self.heard.append((self.time.ms - self.began, link.name, lane, name, event))
                        names.append(name)
                    if self.answer and names:
                        self.tell(k.STORED, {k.SINGLE: [list(name) for name in names]})
            await asyncio.sleep_ms(20)

    def run(self, ms):
        asyncio.run(self.time.sleep_ms(ms))

    def run_to_reset(self, ms):
        try:
            self.run(ms)
        except SystemExit:
            return
        raise AssertionError("no reset")

    def tell(self, kind, fields):
        self.app.downlink.take(self.host.down(kind, fields))

    def press(self, ms=200):
        self.board.pins[BUTTON].move(0)
        self.run(ms)
        self.board.pins[BUTTON].move(1)
        self.run(200)

    def lamp(self):
        return self.app.indicator.name

    def events(self, kind, link=None):
        """Each event once, in the order in which the host first heard it: (ms, name, event)."""
        seen = set()
        found = []
        for ms, via, _, name, event in self.heard:
            if event[k.KIND] == kind and name not in seen and link in (None, via):
                seen.add(name)
                found.append((ms, name, event))
        return found

    def reboot(self, ms=2000):
        self.time.ms += ms
        self.start()
