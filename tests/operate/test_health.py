"""Health over HTTP, metrics on calls that wait, and the alert rules and board that ask for them."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from helpers_intake import HubVoice
from helpers_mqtt import until
from kanhu import config, health, metrics
from kanhu.broker import free_port
from kanhu.daemon import Daemon
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = [rule for group in yaml.safe_load((DEPLOY / "alert-rules.yml").read_text("utf-8"))["groups"]
         for rule in group["rules"]]  # fmt: skip
BOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
SCRAPE = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
CHINESE = re.compile("[一-鿿]")


class Place:
    """A running daemon with its own broker, one home, and an HTTP port."""

    def __init__(self, daemon: Daemon, server: metrics.MetricsServer, hub: HubVoice) -> None:
        self.daemon, self.hub, self._server = daemon, hub, server

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._server.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(self._get, path)

    async def health(self) -> dict[str, Any]:
        status, text = await self.get("/health")
        assert status == 200
        return json.loads(text)

    async def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """By name of the exposition; a family without samples has an empty list."""
        _, text = await self.get("/metrics")
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            found.setdefault(family.name + ("_total" if family.type == "counter" else ""), [])
            for one in family.samples:
                found.setdefault(one.name, []).append((one.labels, one.value))
        return found

    async def value(self, name: str, **labels: str) -> float:
        (found,) = [value for given, value in (await self.samples())[name] if given == labels]
        return found

    async def say(self, kind: int, fields: dict[int, Any] | None = None) -> None:
        await self.daemon.submit(self.hub.hub_id, self.hub.say(kind, fields), "mqtt")


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    servers: list[metrics.MetricsServer] = []
    start = metrics.MetricsServer.start

    def started(server: metrics.MetricsServer) -> None:
        start(server)
        servers.append(server)

    monkeypatch.setattr(metrics.MetricsServer, "start", started)
    with closing(Registry.open(tmp_path)) as registry:
        hub = HubVoice(*registry.add_hub(registry.add_home()))
        registry.add_hub(registry.add_home())  # never heard
    settings = {"broker": {"enabled": True, "port": free_port()}, "metrics": {"port": 0}}
    daemon = Daemon(config.parse({"data_dir": str(tmp_path), **settings}, "test"))
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    try:
        await until(lambda: daemon.uplink.connected and all(link.connected for link in daemon.links))
        yield Place(daemon, servers[0], hub)
    finally:
        stop.set()
        await task


async def test_well_and_asked_for_what_is_not_there(place: Place) -> None:
    assert await place.get("/healthz") == (200, "alive\n")
    assert await place.get("/readyz") == (200, "ready\n")
    found = await place.health()
    assert found["ready"]
    assert set(found["checks"]) == {"journal", "link mqtt", "platform", "disk", "clock"}
    assert {check["state"] for check in found["checks"].values()} == {"ok"}
    assert found["hubs"] == {"heard": 0, "silent": 0, "cannot_tell": 2}, "nobody has been heard yet"
    await place.say(k.MOTION, {k.DEVICE: 2})
    assert (await place.health())["hubs"] == {"heard": 1, "silent": 0, "cannot_tell": 1}
    status, text = await place.get("/")
    assert status == 404
    assert "/health" in text


async def test_is_any_call_waiting(place: Place) -> None:
    """For the platform, then for a person, then not at all; waited since it was pressed."""
    calls = {"person": {"count": 0, "oldest_s": 0}, "delivery": {"count": 0, "oldest_s": 0}}
    assert (await place.health())["calls"] == calls
    daemon = place.daemon
    pressed_ms = daemon.journal.clock() - 600_000
    await place.say(k.CALL, {k.DEVICE: 1, k.UTC_MS: pressed_ms, k.CLOCK: 1})
    for waits_for in ("person", "delivery"):
        assert await place.value("kanhu_calls_waiting", **{"for": waits_for}) == 1
        assert 600 <= await place.value("kanhu_oldest_call_waiting_seconds", **{"for": waits_for}) < 660
    assert 0 < await place.value("kanhu_oldest_undelivered_seconds", **{"class": "p1"}) < 60, "since stored"
    found = (await place.health())["calls"]
    assert found["person"]["count"] == found["delivery"]["count"] == 1
    assert (await place.get("/readyz"))[0] == 200, "the daemon is well; it is the call that waits"

    await daemon.journal.mark_delivered(daemon.journal.undelivered())
    assert await place.value("kanhu_calls_waiting", **{"for": "delivery"}) == 0
    assert await place.value("kanhu_oldest_undelivered_seconds", **{"class": "p1"}) == 0
    assert await place.value("kanhu_calls_waiting", **{"for": "person"}) == 1
    await daemon.alarms.accept((place.hub.hub_id, 1, 0), "operator-7")
    assert await place.value("kanhu_calls_waiting", **{"for": "person"}) == 0
    assert await place.value("kanhu_oldest_call_waiting_seconds", **{"for": "person"}) == 0


async def test_a_journal_counts_as_written_only_when_it_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WRITTEN_S", 0.0)
    assert (await place.get("/readyz"))[0] == 200
    db = place.daemon.journal._writer._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count={pages}")
    while place.daemon.journal.healthy:  # into the pages that are still free
        await place.say(k.MOTION, {k.DEVICE: 2})
    status, text = await place.get("/readyz")
    assert status == 503
    assert "journal: " in text
    assert "full" in text
    assert not (await place.health())["ready"]
    db.execute("PRAGMA max_page_count=1000000")
    await place.say(k.MOTION, {k.DEVICE: 2})
    assert (await place.get("/readyz"))[0] == 200


async def test_a_stuck_disk_and_a_stuck_loop_are_not_well(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WRITTEN_S", 0.0)
    monkeypatch.setattr(health, "WRITE_LIMIT_S", 0.2)
    monkeypatch.setattr(metrics, "ALIVE_LIMIT_S", 0.2)
    db = place.daemon.journal._writer._db
    db.create_function("wait", 0, lambda: time.sleep(0.8))
    batch = place.daemon.journal.batch()
    batch.run("SELECT wait()")
    stuck = batch.submit()
    status, text = await place.get("/readyz")
    assert status == 503
    assert "the disk is stuck" in text
    await stuck

    asked = asyncio.create_task(place.get("/healthz"))
    await asyncio.sleep(0)
    time.sleep(0.6)
    assert await asked == (503, "the daemon does not answer\n")
    assert await place.get("/healthz") == (200, "alive\n")


async def test_no_way_out_is_not_ready(place: Place) -> None:
    assert place.daemon.broker is not None
    await asyncio.to_thread(place.daemon.broker.stop)
    await until(lambda: not place.daemon.uplink.connected)
    await until(lambda: not place.daemon.links[0].connected)
    status, text = await place.get("/readyz")
    assert status == 503
    assert "platform: not connected: events wait here" in text
    assert "link mqtt: not connected" in text
    assert (await place.get("/healthz"))[0] == 200


@pytest.mark.parametrize("wrong_ms", [946_684_800_000, -400_000])
async def test_a_wrong_clock_is_said(place: Place, wrong_ms: int) -> None:
    await place.say(k.MOTION, {k.DEVICE: 2})
    now_ms = place.daemon.journal.clock()
    place.daemon.journal.clock = lambda: wrong_ms if wrong_ms > 0 else now_ms + wrong_ms
    assert "see that NTP works" in (await place.get("/readyz"))[1]
    assert await place.value("kanhu_clock_plausible") == 0


# Files


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Everything an expression asks for."""

    def walk(node: Any) -> Iterator[promql_parser.VectorSelector]:
        if isinstance(node, promql_parser.VectorSelector):
            yield node
        for part in ("lhs", "rhs", "expr", "vector_selector"):
            if (inner := getattr(node, part, None)) is not None:
                yield from walk(inner)
        for inner in getattr(node, "args", ()):
            yield from walk(inner)

    yield from walk(promql_parser.parse(expression))


EXPRESSIONS = {f"rule {rule['alert']}": rule["expr"] for rule in RULES} | {
    f"panel {panel['title']} {target['refId']}": target["expr"].replace("$instance", ".*")
    for panel in BOARD["panels"]
    for target in panel["targets"]
}


async def test_all_that_rules_and_board_ask_for_is_there(place: Place) -> None:
    await place.say(k.CALL, {k.DEVICE: 1})
    live = await place.samples()
    asked = set()
    for where, expression in EXPRESSIONS.items():
        for selector in selectors(expression):
            if selector.name == "up":  # Prometheus' own, of the job in deploy/prometheus.yml
                jobs = [one.value for one in selector.matchers.matchers if one.name == "job"]
                assert jobs == [one["job_name"] for one in SCRAPE["scrape_configs"]]
                continue
            assert selector.name in live, f"{where}: no metric {selector.name}"
            asked.add(selector.name)
            for matcher in selector.matchers.matchers:
                if matcher.name == "instance" or not live[selector.name]:
                    continue
                values = {labels.get(matcher.name) for labels, _ in live[selector.name]}
                assert None not in values, f"{where}: {selector.name} has no label {matcher.name}"
                if str(matcher.op).endswith("Equal") and "Not" not in str(matcher.op):
                    assert matcher.value in values, f"{where}: {matcher.name} is never {matcher.value}"
    assert {name.removesuffix("_total") for name in asked} == BUILT - {"kanhu_retention_days"}


BUILT = frozenset(re.findall(r'"(kanhu_\w+)"', Path(metrics.__file__).read_text("utf-8"))) | {
    "kanhu_update_paused"  # of kanhu.updates.metrics
}


def test_rules_say_what_to_do_in_both_languages() -> None:
    assert len(RULES) == len({rule["alert"] for rule in RULES}) >= 20
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        notes = rule["annotations"]
        assert set(notes) == {"summary", "summary_zh", "action"}
        assert CHINESE.search(notes["summary_zh"])
        assert not CHINESE.search(notes["summary"])
        values = re.compile(r"\{\{.*?\}\}")
        assert values.findall(notes["summary"]) == values.findall(notes["summary_zh"])


def test_the_board_reads_in_both_languages_and_overlaps_nowhere() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        assert CHINESE.search(panel["title"].partition(" / ")[2]), panel["title"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    first = BOARD["panels"][:4]
    for panel in first:  # what a desk reads at a glance is never green for want of data
        assert panel["type"] == "stat"
        assert "cannot tell" in panel["fieldConfig"]["defaults"]["noValue"]
