"""Metrics of TLS and of what the hubs' broker refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kanhu.config import Config
from kanhu.links.mqtt import MqttLink
from kanhu.pki.files import PkiError, load_certificates

if TYPE_CHECKING:
    from kanhu.daemon import Daemon

_read: dict[Path, tuple[int, float]] = {}  # path -> mtime in ns, Unix time of the end


def tls_metrics(daemon: Daemon) -> Iterable[Metric]:
    """kanhu_broker_refused_total and kanhu_certificate_expires_seconds."""
    ways = [way for way in daemon.links if isinstance(way, MqttLink)]
    read = [way.refusals for way in ways if way.refusals is not None]
    if read:
        refused = CounterMetricFamily(
            "kanhu_broker_refused", "What the hubs' broker refused, by its log", labels=["reason"]
        )
        for refusals in read:
            for reason, count in refusals.counts.items():
                refused.add_metric([reason], count)
        yield refused
    now = time.time()
    ends = dict(_files(daemon.config))
    clients = [way.urgent for way in ways]
    ends |= {f"broker {client.host}": client.peer_until for client in clients if client.peer_until}
    if ends:
        expires = GaugeMetricFamily(
            "kanhu_certificate_expires_seconds",
            "Until a certificate ends: of a file here, or of the hubs' broker as it shows it",
            labels=["certificate"],
        )
        for name, end in ends.items():
            expires.add_metric([name], end - now)
        yield expires


def _files(config: Config) -> Iterator[tuple[str, float]]:
    brokers = (config.hubs.mqtt, config.platform.mqtt, config.broker)
    for settings in [broker.tls for broker in brokers if broker is not None and broker.tls is not None]:
        for path in (settings.ca_file, settings.cert_file):
            if path is not None:
                try:
                    yield str(path), _end(path)
                except (OSError, PkiError):
                    yield str(path), 0.0  # not readable any more: as bad as expired


def _end(path: Path) -> float:
    """The earliest end of a file's certificates; the file is read again only when it has changed."""
    changed = path.stat().st_mtime_ns
    if path not in _read or _read[path][0] != changed:
        ends = [one.not_valid_after_utc.timestamp() for one in load_certificates(path)]
        _read[path] = (changed, min(ends))
    return _read[path][1]
