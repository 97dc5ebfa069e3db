"""What the doctor says of what it saw."""

from __future__ import annotations

import pytest

from kanhu.qa.doctor import PINS, Finding, Seen, judge, pins, wrong
from kanhu.qa.lines import LINES

DRIVING = {name: line for name, line in LINES.items() if line.drives and line.hub_gpio is not None}
SHOWN = {name: line for name, line in LINES.items() if not line.drives}


def sound() -> Seen:
    seen = Seen()
    for name, line in DRIVING.items():
        seen.reach[name] = frozenset({line.hub_gpio or 0})
    for name in SHOWN:
        seen.shown[name] = frozenset({name})
    return seen


def said(seen: Seen) -> dict[str, str]:
    found = judge(LINES, seen)
    assert [one.name for one in found] == [*DRIVING, *SHOWN]
    return {one.name: one.says for one in wrong(found)}


def test_a_sound_bench_has_a_finding_for_each_line_and_nothing_wrong() -> None:
    assert said(sound()) == {}


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (lambda s: s.reach.update(pir=frozenset()), "pir", "nothing arrives at hub GPIO 13"),
        (lambda s: s.reach.update(pir=frozenset({13, 21})), "pir", "13 and 21 (mains's); part the wires"),
        (lambda s: s.reach.update(button=frozenset({5})), "button", "reaches hub GPIO 5; move the wire"),
        (lambda s: s.high.update(mains=False), "mains", "low and not high"),
        (lambda s: s.shown.update(lamp=frozenset()), "lamp", "nothing arrives at stimulus GPIO 32"),
        (lambda s: s.shown.update(lamp=frozenset({"lamp", "buzzer"})), "lamp", "part the wires"),
        (lambda s: s.shown.update(lamp=frozenset({"buzzer"})), "lamp", "shows at stimulus GPIO 33"),
    ],
)
def test_one_thing_wrong_is_one_sentence(change, name: str, words: str) -> None:  # type: ignore[no-untyped-def]
    seen = sound()
    change(seen)
    found = said(seen)
    assert list(found) == [name]
    assert words in found[name]
    assert "\n" not in found[name]


def test_what_explains_silence_is_said() -> None:
    seen = sound()
    seen.reach["cancel"] = frozenset()
    seen.low = frozenset({14})
    seen.shown["buzzer"] = frozenset()
    seen.stuck = frozenset({"buzzer"})
    found = said(seen)
    assert "hub GPIO 14 is low while nothing drives it" in found["cancel"]
    assert "high while the hub drives nothing" in found["buzzer"]
    seen.stuck, seen.elsewhere = frozenset(), {"buzzer": 17}
    assert "is wired to hub GPIO 17 (button2's); move the wire to hub GPIO 18" in said(seen)["buzzer"]


def test_a_swap_is_named_at_both_ends() -> None:
    seen = sound()
    seen.reach["button"], seen.reach["button2"] = seen.reach["button2"], seen.reach["button"]
    seen.shown = {"lamp": frozenset({"buzzer"}), "buzzer": frozenset({"lamp"})}
    found = said(seen)
    assert found["button"] == "stimulus GPIO 25 reaches hub GPIO 17 (button2's); swap the wires"
    assert found["button2"].endswith("hub GPIO 4 (button's); swap the wires")
    assert found["lamp"].startswith("lamp and buzzer are swapped")
    assert found["buzzer"].startswith("lamp and buzzer are swapped")


def test_nothing_at_all_is_one_finding() -> None:
    (one,) = judge(LINES, Seen())
    assert one == Finding("ground", False, one.says)
    assert "join the grounds" in one.says


def test_pins_of_the_table_come_first_and_flash_and_console_are_never_touched() -> None:
    for chip, known in PINS.items():
        found = pins(chip, LINES.values())
        assert found[: len(LINES) - 1] == tuple(
            line.hub_gpio for line in LINES.values() if line.hub_gpio is not None
        )
        assert set(known) <= set(found)
        assert len(found) == len(set(found))
    assert not {0, 1, 3, 6, 7, 8, 9, 10, 11, 20, 24, 34, 35, 36, 39} & set(PINS["esp32"])
    assert not {*range(26, 38), 19, 20, 43, 44} & set(PINS["esp32s3"])
    assert not {*range(11, 22)} & set(PINS["esp32c3"])
