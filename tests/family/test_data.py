"""A home's data: all of it as a file, and its end; only for the PIN, not while somebody waits for help."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from helpers_family import PIN, Place
from kanhu import export
from kanhu.care.rules.values import Words
from kanhu.errors import DataError
from kanhu.journal.erasing import erase
from kanhu.registry import RegistryError
from kanhu.web.family import data
from kanhu.web.family import words_data as w
from kanhu_protocol import kinds as k

WRONG = "135792"


async def living(place: Place) -> None:
    """A home of which something is known; a phone is let in."""
    await place.start_hub()
    place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:02", "浴室按钮")
    await place.say(k.MOTION, {k.DEVICE: 2})
    await place.let_in()


async def ask(
    place: Place, *parts: str, client: httpx2.AsyncClient | None = None, **fields: str
) -> httpx2.Response:
    """A form of the page of data."""
    return await place.post(client or place.client, place.path("data", *parts), fields, place.path("data"))


def kept(place: Place) -> list[str]:
    return [str(row["what"]) for row in place.family.audit.page()]


def left(place: Place) -> list[Path]:
    """Files that were not cleared away."""
    return [*(place.data_dir / data.FOLDER).glob("*")]


# All of it


async def test_everything_that_is_held_comes_as_a_file(place: Place) -> None:
    await living(place)
    answer = await ask(place, "export", pin=PIN)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="kanhu-2026-09-21.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    found = json.loads(answer.text)
    assert found["home"]["id"] == place.home
    assert found["home"]["name"] == "王秀兰"
    assert {event["type"] for event in found["events"]} >= {"org.kanhu.boot.v1", "org.kanhu.motion.v1"}
    assert "浴室按钮" in answer.text
    assert left(place) == []
    assert "family_export" in kept(place)


async def test_another_homes_data_is_not_in_it(place: Place) -> None:
    await living(place)
    other = place.add_hub(place.registry.add_home("cn/42/01", name="Neighbour"))
    await place.start_hub(other)
    answer = await ask(place, "export", pin=PIN)
    assert other not in answer.text
    assert "Neighbour" not in answer.text


async def test_the_file_has_no_name_while_it_is_read_and_was_nobody_elses_to_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await living(place)
    seen: list[int] = []

    def write(data_dir: Path, registry: Any, home: str, out: Path) -> int:
        count = real(data_dir, registry, home, out)
        seen.extend(stat.S_IMODE(one.stat().st_mode) for one in (out, out.parent))
        return count

    real = export.write
    monkeypatch.setattr(export, "write", write)
    page = await place.client.get(place.path("data"))
    key = page.text.partition('name="key" value="')[2].partition('"')[0]
    form = {"key": key, "pin": PIN}
    async with place.client.stream("POST", place.path("data", "export"), data=form) as answer:
        assert answer.status_code == 200
        assert left(place) == []
    assert seen == [0o600, 0o700]


async def test_one_at_a_time_of_a_home(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await living(place)
    writing, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(data_dir: Path, registry: Any, home: str, out: Path) -> int:
        loop.call_soon_threadsafe(writing.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
        return real(data_dir, registry, home, out)

    real = export.write
    monkeypatch.setattr(export, "write", write)
    first = asyncio.ensure_future(ask(place, "export", pin=PIN))
    await asyncio.wait_for(writing.wait(), 30)
    second = await ask(place, "export", pin=PIN)
    assert second.status_code == 429
    assert w.EXPORTING.zh in second.text
    go_on.set()
    assert (await first).status_code == 200
    assert (await ask(place, "export", pin=PIN)).status_code == 200


async def test_a_full_disk_is_said_and_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await living(place)

    def write(data_dir: Path, registry: Any, home: str, out: Path) -> int:
        out.write_text("{")
        raise DataError(f"{out}: no room")

    monkeypatch.setattr(export, "write", write)
    answer = await ask(place, "export", pin=PIN)
    assert answer.status_code == 503
    assert w.NOT_WRITTEN.zh in answer.text
    assert str(place.data_dir) not in answer.text
    assert left(place) == []


async def test_what_a_killed_daemon_has_left_is_cleared_away(place: Place) -> None:
    folder = place.data_dir / data.FOLDER
    folder.mkdir()
    (folder / "half.json").write_text("{")
    data.DataPages(place.family)
    assert left(place) == []


@pytest.mark.parametrize("parts", [("export",), ("erase",)])
async def test_nothing_without_the_pin(place: Place, parts: tuple[str, ...]) -> None:
    await living(place)
    for typed, status in ((WRONG, 403), ("", 400), ("12", 400), (PIN + "1", 403), ("x" * 10_000, 400)):
        answer = await ask(place, *parts, pin=typed, sure="yes")
        assert answer.status_code == status, typed
        assert "attachment" not in answer.headers.get("content-disposition", "")
    assert place.registry.home(place.home)
    assert kept(place).count("family_wrong_pin") == 2
    record = place.families.of(place.home)
    assert record is not None
    assert record.wrong == 2


async def test_guessing_the_pin_here_locks_it_as_at_the_door(place: Place) -> None:
    await living(place)
    for n in range(5):
        assert (await ask(place, "export", pin=WRONG)).status_code == 403, n
    assert (await ask(place, "export", pin=PIN)).status_code == 429
    assert (await ask(place, "erase", pin=PIN, sure="yes")).status_code == 429
    assert place.registry.home(place.home)


async def test_who_is_not_let_in_gets_nothing_with_the_right_pin(place: Place) -> None:
    await living(place)
    stranger = place.phone()
    page = await stranger.get(place.path("data"))
    assert w.TEXT["held_title"].zh not in page.text
    for path in ("export", "erase"):
        answer = await place.post(
            stranger, place.path("data", path), {"pin": PIN, "sure": "yes"}, place.path()
        )
        assert answer.status_code == 303
    forged = await place.client.post(
        place.path("data", "erase"), data={"pin": PIN, "sure": "yes", "key": "x"}
    )
    assert forged.status_code == 403
    assert place.registry.home(place.home)


# The end


async def test_everything_is_erased_and_the_visit_is_over(place: Place) -> None:
    await living(place)
    page = await place.client.get(place.path("data", "erase"))
    assert w.TEXT["erase_grave"].zh in page.text
    answer = await ask(place, "erase", pin=PIN, sure="yes")
    assert answer.status_code == 200
    assert w.TEXT["erased_title"].zh in answer.text
    assert "<nav" not in answer.text
    with pytest.raises(RegistryError):
        place.registry.home(place.home)
    assert place.families.of(place.home) is None
    assert place.families.hub_of(place.token) is None
    assert place.registry.erasures() == {place.hub: False}
    assert "family_erase" in kept(place)
    again = await place.client.get(place.path())
    assert again.status_code == 404
    assert place.family.access.cookie not in place.client.cookies
    # What the daemon does with the order, once the platform has had everything (kanhu.erasure).
    assert await erase(place.journal, place.hub, discard=False) is None
    await place.deliver()
    assert await erase(place.journal, place.hub, discard=False) == []
    assert (await place.family.audit.verify()).broken == ()
    assert place.hub not in {row["hub"] for row in place.family.audit.page()}


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_not_while_an_alarm_is_not_closed(place: Place, language: str) -> None:
    await living(place)
    place.client.params = {"language": language}
    name = await place.alarms.raise_(place.hub, k.CALL, None, Words("help", "求助"), 1)
    said = w.TEXT["erase_alarms"]._asdict()[language]
    page = await place.client.get(place.path("data", "erase"))
    assert said in page.text
    assert 'name="sure"' not in page.text
    answer = await ask(place, "erase", pin=PIN, sure="yes")
    assert answer.status_code == 409
    assert said in answer.text
    assert place.registry.home(place.home)
    await place.alarms.accept(name, "operator")
    assert (await ask(place, "erase", pin=PIN, sure="yes")).status_code == 409
    await place.alarms.close(name, "operator", "well")
    assert (await ask(place, "erase", pin=PIN, sure="yes")).status_code == 200


async def test_not_when_somebody_calls_while_the_pin_is_looked_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await living(place)
    keep = place.family.keep

    async def calling(*given: Any) -> None:
        await place.alarms.raise_(place.hub, k.CALL, None, Words("help", "求助"), 1)
        await keep(*given)

    monkeypatch.setattr(place.family, "keep", calling)
    assert (await ask(place, "erase", pin=PIN, sure="yes")).status_code == 409
    assert place.registry.home(place.home)


async def test_not_without_the_tick(place: Place) -> None:
    await living(place)
    answer = await ask(place, "erase", pin=PIN)
    assert answer.status_code == 400
    assert w.NOT_SURE.zh in answer.text
    assert place.registry.home(place.home)


async def test_the_neighbour_stays(place: Place) -> None:
    await living(place)
    other = place.registry.add_home("cn/42/01")
    hub = place.add_hub(other)
    token = place.families.label(hub)
    assert (await ask(place, "erase", pin=PIN, sure="yes")).status_code == 200
    assert place.registry.home(other)
    assert place.families.hub_of(token) == hub


def test_words_stand_in_both_languages() -> None:
    for words in (*w.TEXT.values(), w.NOT_SURE, w.EXPORTING, w.NOT_WRITTEN):
        assert words.en.strip()
        assert words.zh.strip()


def test_an_unread_file_is_closed_with_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a" * 200_000)

    async def some(file: Any) -> bytes:
        source = data._read(file)
        first = await anext(source)
        await source.aclose()
        return first

    file = path.open("rb")
    assert len(asyncio.run(some(file))) == data.CHUNK
    assert file.closed
