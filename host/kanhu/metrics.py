"""Prometheus metrics of the daemon over HTTP; the numbers are read in the daemon's own loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kanhu.errors import ConfigError
from kanhu.links.mqtt_metrics import tls_metrics
from kanhu_protocol import kinds as k
from kanhu_protocol import names

if TYPE_CHECKING:
    from kanhu.daemon import Daemon

log = structlog.get_logger("kanhu.metrics")

SCRAPE_LIMIT_S = 5.0


class MetricsServer:
    """http://host:port/metrics; start() and stop()."""

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
            self._server, self._thread = start_http_server(settings.port, settings.host, registry)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"metrics.port {settings.host}:{settings.port}: {reason}; choose another or set "
                "metrics.enabled = false"
            ) from None
        log.info("metrics", url=f"http://{settings.host}:{self._server.server_port}/metrics")

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(2)

    def describe(self) -> list[Metric]:
        """Nothing: collect() asks the daemon, which must not happen at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All metrics, gathered in the loop."""

        async def gather() -> list[Metric]:
            return list(_metrics(self._daemon))

        return asyncio.run_coroutine_threadsafe(gather(), self._loop).result(SCRAPE_LIMIT_S)


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

    live = daemon.alarms.live()
    waiting = [alarm for alarm in live if alarm.state == k.OPEN]
    alarms = GaugeMetricFamily("kanhu_alarms", "Alarms not closed", labels=["state"])
    for state in (k.OPEN, k.ACCEPTED):
        alarms.add_metric([names.STATES[state]], sum(alarm.state == state for alarm in live))
    yield alarms
    oldest = max((now_ms - (alarm.stored_ms or alarm.opened_ms) for alarm in waiting), default=0)
    yield GaugeMetricFamily(
        "kanhu_oldest_unanswered_seconds", "How long the oldest unanswered alarm has waited", oldest / 1000
    )

    hubs = [hub for hub in journal.hubs() if hub != journal.daemon_id]
    yield GaugeMetricFamily("kanhu_hubs", "Hubs ever heard", len(hubs))
    yield GaugeMetricFamily("kanhu_hubs_silent", "Hubs reported silent", len(daemon.silence.silent))
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
    yield CounterMetricFamily("kanhu_down_unsent", "Messages no link could take", daemon.downlink.unsent)
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
    yield CounterMetricFamily("kanhu_journal_commits", "Commits since start", journal.commits)
    yield GaugeMetricFamily("kanhu_scraped_at_seconds", "Host UTC", time.time())
