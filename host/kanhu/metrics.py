"""Metrics and health of the daemon over HTTP; the numbers are read in the daemon's own loop."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kanhu import health
from kanhu.care.condition import STATES
from kanhu.errors import ConfigError
from kanhu.journal.erasing import PREFIX
from kanhu.links.mqtt_metrics import tls_metrics
from kanhu.updates.metrics import update_metrics
from kanhu_protocol import kinds as k
from kanhu_protocol import names

if TYPE_CHECKING:
    from kanhu.daemon import Daemon

log = structlog.get_logger("kanhu.metrics")

SCRAPE_LIMIT_S = 5.0
ALIVE_LIMIT_S = 2.0  # for the loop to answer at all
REQUEST_LIMIT_S = 10.0  # for a client to send its request and take its answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_LIMIT_S

    def log_message(self, *args: Any) -> None:
        """Nothing: being asked is no news."""


class MetricsServer:
    """http://host:port: /metrics for Prometheus, /healthz (alive), /readyz, /health; start() and stop()."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._loop = asyncio.get_running_loop()
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; ConfigError when the port is taken."""
        settings = self._daemon.config.metrics
        registry = CollectorRegistry()
        registry.register(self)  # has collect(), which is all it takes
        try:
            self._server = make_server(
                settings.host,
                settings.port,
                self._answering(make_wsgi_app(registry)),
                _Server6 if ":" in settings.host else _Server,
                _Handler,
            )
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"metrics.port {settings.host}:{settings.port}: {reason}; choose another or set "
                "metrics.enabled = false"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="kanhu-http", daemon=True)
        self._thread.start()
        log.info("metrics", url=f"http://{settings.host}:{self._server.server_port}/metrics")

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(2)

    @property
    def port(self) -> int:
        """Where it listens, also when the config said 0."""
        return self._server.server_port if self._server else 0

    def _answering(self, metrics: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "/")
            if path == "/metrics":
                return metrics(environ, start)
            status, text = self._page(path)
            body = text.encode()
            kind = "application/json" if text.startswith("{") else "text/plain"
            start(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))])
            return [body]

        return answer

    def _page(self, path: str) -> tuple[str, str]:
        if path not in ("/healthz", "/readyz", "/health"):
            return "404 Not Found", "there are /metrics, /health, /healthz and /readyz\n"
        try:
            if path == "/healthz":
                self._ask(asyncio.sleep(0), ALIVE_LIMIT_S)
                return "200 OK", "alive\n"
            found = self._ask(health.look(self._daemon), SCRAPE_LIMIT_S)
        except (TimeoutError, CancelledError, RuntimeError):
            return "503 Service Unavailable", "the daemon does not answer\n"
        if path == "/health":
            return "200 OK", json.dumps(found.as_dict(), ensure_ascii=False, indent=1) + "\n"
        bad = [f"{name}: {check.detail}\n" for name, check in found.checks.items() if check.state != "ok"]
        return ("503 Service Unavailable", "".join(bad)) if bad else ("200 OK", "ready\n")

    def _ask(self, work: Coroutine[Any, Any, Any], limit_s: float) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        finally:
            future.cancel()

    def describe(self) -> list[Metric]:
        """Nothing: collect() asks the daemon, which must not happen at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All metrics, gathered in the loop."""

        async def gather() -> list[Metric]:
            return list(_metrics(self._daemon))

        found: list[Metric] = self._ask(gather(), SCRAPE_LIMIT_S)
        return found


_OLDEST_UNDELIVERED = """
SELECT received_ms FROM events INDEXED BY events_queued
WHERE delivered_ms IS NULL AND class=? ORDER BY n LIMIT 1
"""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _metrics(daemon: Daemon) -> Iterable[Metric]:
    counters, journal = daemon.counters, daemon.journal
    now_ms = journal.clock()

    stored = CounterMetricFamily(
        "kanhu_events_stored", "Events on disk since start", labels=["link", "class"]
    )
    for (link, cls), count in counters.stored.items():
        stored.add_metric([link, f"p{cls}"], count)
    yield stored
    refused = CounterMetricFamily("kanhu_refused", "Messages and events refused", labels=["link", "reason"])
    for (link, reason), count in counters.refused.items():
        refused.add_metric([link, reason], count)
    yield refused
    oversize = CounterMetricFamily("kanhu_oversize", "MQTT messages too long to be read", labels=["side"])
    oversize.add_metric(["hubs"], sum(getattr(way, "oversize", 0) for way in daemon.links))
    oversize.add_metric(["platform"], daemon.uplink.oversize)
    yield oversize
    unreadable = CounterMetricFamily(
        "kanhu_unreadable", "Authentic, yet no event; recorded as lost", labels=["link"]
    )
    for link, count in counters.unreadable.items():
        unreadable.add_metric([link], count)
    yield unreadable
    yield CounterMetricFamily(
        "kanhu_claims_ignored", "What hubs said of events that cannot be", counters.claims_ignored
    )
    known = CounterMetricFamily("kanhu_events_said_again", "Known events answered again", labels=["link"])
    for link, count in counters.known.items():
        known.add_metric([link], count)
    yield known
    yield CounterMetricFamily("kanhu_events_not_saved", "Events the disk did not take", counters.not_saved)

    sums = journal.ledger()
    ledger = GaugeMetricFamily("kanhu_ledger_events", "The ledger's sums", labels=["sum"])
    for name in ("announced", "stored", "lost", "awaited", "delivered", "queued"):
        ledger.add_metric([name], getattr(sums, name))
    yield ledger

    calls = GaugeMetricFamily("kanhu_calls_waiting", "Open alarms, by what they wait for", labels=["for"])
    oldest_call = GaugeMetricFamily(
        "kanhu_oldest_call_waiting_seconds", "How long the oldest of them has waited", labels=["for"]
    )
    live = daemon.alarms.live()
    waiting = [alarm for alarm in live if alarm.state == k.OPEN]
    alarms = GaugeMetricFamily("kanhu_alarms", "Alarms not closed", labels=["state"])
    for state in (k.PRE, k.OPEN, k.ACCEPTED, k.DISPATCHED, k.ON_SCENE):
        alarms.add_metric([names.STATES[state]], sum(alarm.state == state for alarm in live))
    yield alarms
    oldest = max((now_ms - (alarm.stored_ms or alarm.opened_ms) for alarm in waiting), default=0)
    yield GaugeMetricFamily(
        "kanhu_oldest_unanswered_seconds", "How long the oldest unanswered alarm has waited", oldest / 1000
    )

    for what in health.WAITS_FOR:
        found = health.calls(daemon, what)
        calls.add_metric([what], found.count)
        oldest_call.add_metric([what], found.oldest_s)
    yield calls
    yield oldest_call
    undelivered = GaugeMetricFamily(
        "kanhu_oldest_undelivered_seconds",
        "How long the oldest event has been on disk that the platform has not acknowledged",
        labels=["class"],
    )
    for cls in range(k.P1, k.P5 + 1):
        first = journal.reader.rows(_OLDEST_UNDELIVERED, (cls,))
        undelivered.add_metric([f"p{cls}"], max(0, now_ms - first[0][0]) / 1000 if first else 0)
    yield undelivered

    hubs = [hub for hub in journal.hubs() if hub != journal.daemon_id and not hub.startswith(PREFIX)]
    yield GaugeMetricFamily("kanhu_hubs", "Hubs ever heard", len(hubs))
    yield GaugeMetricFamily("kanhu_hubs_silent", "Hubs reported silent", len(daemon.silence.silent))
    states = GaugeMetricFamily("kanhu_hubs_by_state", "Registered hubs", labels=["state"])
    for state_name, count in health.hubs(daemon).items():
        states.add_metric([state_name], count)
    yield states
    homes = GaugeMetricFamily("kanhu_homes", "Homes by how they are", labels=["state"])
    conditions = Counter(one.state for one in daemon.watch.conditions().values())
    for name in STATES:
        homes.add_metric([name], conditions[name])
    yield homes
    counts = daemon.faults.counts()
    faults = GaugeMetricFamily("kanhu_faults", "Technical faults that stand", labels=["state"])
    faults.add_metric(["open"], counts.open)
    faults.add_metric(["overdue"], counts.overdue)
    faults.add_metric(["single"], counts.single)  # those that no incident stands for
    yield faults
    yield GaugeMetricFamily("kanhu_incidents", "Incidents that are not over", len(daemon.faults.incidents()))
    yield CounterMetricFamily("kanhu_rules_evaluated", "Looks of rules at homes", daemon.watch.evaluated)
    yield CounterMetricFamily("kanhu_rules_failed", "Looks that ended in a defect", daemon.watch.failed)
    up = GaugeMetricFamily("kanhu_link_up", "Whether a link is connected", labels=["link"])
    for way in daemon.links:
        up.add_metric([way.name], float(way.connected))
    yield up
    yield GaugeMetricFamily(
        "kanhu_uplink_up", "Whether the platform's broker is connected", float(daemon.uplink.connected)
    )
    yield GaugeMetricFamily(
        "kanhu_uplink_awaiting", "Published, not yet acknowledged", daemon.uplink.awaiting
    )
    yield CounterMetricFamily(
        "kanhu_uplink_published", "Events published for the first time", daemon.uplink.published
    )
    yield CounterMetricFamily("kanhu_uplink_republished", "Events published again", daemon.uplink.republished)
    yield CounterMetricFamily(
        "kanhu_uplink_unrendered",
        "Attempts at events that could not be made into a message",
        daemon.uplink.unrendered,
    )
    orders = CounterMetricFamily("kanhu_platform_commands", "Commands of the platform", labels=["command"])
    for name, count in daemon.city.commands.items():
        orders.add_metric([name], count)
    yield orders
    yield CounterMetricFamily("kanhu_down_sent", "Sealed messages sent to hubs", daemon.downlink.sent)
    yield GaugeMetricFamily(
        "kanhu_identity_faults", "Hubs whose identity is in doubt", len(daemon.intake.identities.faults)
    )
    yield CounterMetricFamily(
        "kanhu_down_overtaken", "Times a hub had heard a later message than ours", daemon.downlink.overtaken
    )
    yield GaugeMetricFamily(
        "kanhu_registry_older_changes",
        "Changes that the registry lacked when an older copy of it was last found",
        daemon.witness.seen.missing,
    )
    yield CounterMetricFamily("kanhu_down_unsent", "Messages no link could take", daemon.downlink.unsent)
    yield from update_metrics(daemon)
    yield GaugeMetricFamily(
        "kanhu_journal_healthy", "Whether the last write succeeded", float(journal.healthy)
    )
    yield from tls_metrics(daemon)
    if daemon.broker is not None:
        yield CounterMetricFamily(
            "kanhu_broker_restarts",
            "Times the embedded broker ended and was started again",
            daemon.broker.restarts,
        )
    free, size = health.disk(daemon)
    yield GaugeMetricFamily("kanhu_disk_free_bytes", "Free on the disk of data_dir", free)
    yield GaugeMetricFamily("kanhu_disk_size_bytes", "Size of the disk of data_dir", size)
    yield GaugeMetricFamily("kanhu_journal_bytes", "Size of journal.db", _size(journal.path))
    yield GaugeMetricFamily(
        "kanhu_clock_plausible",
        "Whether the host's clock can be right",
        float(health.clock(daemon).state == "ok"),
    )
    yield GaugeMetricFamily(
        "kanhu_retention_days", "How long delivered events are kept", daemon.config.retention.days
    )
    yield CounterMetricFamily("kanhu_journal_commits", "Commits since start", journal.commits)
    yield GaugeMetricFamily("kanhu_scraped_at_seconds", "Host UTC", time.time())
