"""Rooms of the stimulus's firmware on MicroPython, with pins that a test has."""

from __future__ import annotations

import json

from helpers_micropython import run_micropython

BENCH = """
import asyncio, json
from stimulus import lines
from stimulus.edges import RING, Edges
from stimulus.outputs import Outputs

class Pin:
    def __init__(self): self.driven, self.level, self.edge = [], 0, None
    def drive(self, level): self.driven.append(level)
    def value(self): return self.level
    def move(self, level):
        self.level = level
        self.edge(self)

class Board:
    def __init__(self): self.pins, self.now = {}, 0
    def ticks_us(self):
        self.now += 10
        return self.now
    def ticks_diff(self, a, b): return a - b
    def sleep_us(self, us): self.now += us
    def driver(self, number, kind): return self.pins.setdefault(number, Pin())
    def probe(self, number, edge):
        pin = self.pins.setdefault(number, Pin())
        pin.edge = edge
        return pin

board = Board()
PIN = {name: row[0] for name, row in lines.LINES.items()}
def driven(name): return board.pins[PIN[name]].driven
"""


def run(script: str) -> list[object]:
    return [json.loads(line) for line in run_micropython(BENCH + script).splitlines()]


def test_a_hub_without_supply_is_not_fed_through_its_pins() -> None:
    (off, on, rest, again) = run("""
outputs = Outputs(board, lines.LINES)
outputs.set("pir", 1)
outputs.set("power", 0)
print(json.dumps([driven(n)[-1] for n in ("pir", "mains", "button", "power")]))
outputs.set("mains", 0)  # what is asked for while it is off is there when it is on
assert driven("mains")[-1] is None
outputs.set("power", None)
print(json.dumps([driven(n)[-1] for n in ("pir", "mains", "button", "power")]))
assert outputs.held()
outputs.rest()
print(json.dumps([driven(n)[-1] for n in ("pir", "mains", "button", "power")] + [outputs.held()]))
outputs.set("power", 0)
outputs.rest()
print(json.dumps([driven(n)[-1] for n in ("pir", "mains", "power")]))
""")
    assert off == [None, None, None, 0]
    assert on == [1, 0, None, None]
    assert rest == [0, 1, None, None, False]
    assert again == [0, 1, None]


def test_a_cheap_contact_bounces_and_ends_where_it_was_to() -> None:
    closed, opened, late = run("""
outputs = Outputs(board, lines.LINES)
for level in (0, None):
    mark = len(driven("button"))
    outputs.bounce("button", level)
    print(json.dumps(driven("button")[mark:]))
board.sleep_us = lambda us: setattr(board, "now", board.now + 30000)  # a computer with other things to do
mark = len(driven("button"))
outputs.bounce("button", 0)
print(json.dumps(driven("button")[mark:]))
""")
    assert closed == [0, None, 0, None, 0, None, 0]
    assert opened == [None, 0, None, 0, None, 0, None]
    assert late == [0, None, 0][: len(late)]
    assert late[-1] == 0


def test_a_full_ring_loses_the_newest_and_counts_them() -> None:
    counted, told = run("""
told = []
edges = Edges(board, lines.LINES, lambda name, value: told.append(value))
lamp, buzzer = board.pins[PIN["lamp"]], board.pins[PIN["buzzer"]]
for n in range(RING + 44):
    lamp.move(1 - lamp.level)
async def main():
    asyncio.create_task(edges.run())
    await asyncio.sleep_ms(50)
    buzzer.move(1)
    buzzer.move(1)  # there and back before the interrupt looked
    await asyncio.sleep_ms(200)
    lamp.level = 1 - lamp.level  # a change whose interrupt the port has forgotten
    await asyncio.sleep_ms(300)
asyncio.run(main())
print(json.dumps([RING, edges.seen, edges.lost, edges.missed, edges.levels()]))
print(json.dumps(told))
""")
    ring, seen, lost, missed, levels = counted
    assert lost == 45  # one place stays free
    assert seen == ring - 1 + 3 == len(told)  # what the ring held, the buzzer, what a look found twice
    assert missed == 3
    assert [edge[3] for edge in told] == list(range(1, seen + 1))
    assert [edge[2] for edge in told] == sorted(edge[2] for edge in told)
    assert [edge[:2] for edge in told[:2]] == [["lamp", 1], ["lamp", 0]]
    assert levels == {"lamp": 1, "buzzer": 1}
