"""What Prometheus is told of updates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .values import PAUSED, STATES

if TYPE_CHECKING:
    from kanhu.daemon import Daemon


def update_metrics(daemon: Daemon) -> Iterable[Metric]:
    """The rollout that is not over by its hubs' states, and pieces of releases that were sent."""
    updates = daemon.updates
    engine = updates.engine if updates.engine is not None and not updates.engine.is_over else None
    hubs = GaugeMetricFamily("kanhu_update_hubs", "Hubs of the rollout that is not over", labels=["state"])
    for state in STATES:
        hubs.add_metric([state], engine.counts[state] if engine is not None else 0)
    yield hubs
    paused = engine is not None and engine.rollout.state == PAUSED
    yield GaugeMetricFamily("kanhu_update_paused", "Whether a rollout is paused", float(paused))
    yield CounterMetricFamily("kanhu_update_asks", "Hubs told to fetch a release", updates.asks)
    chunks = updates.chunks
    yield CounterMetricFamily("kanhu_update_chunks", "Pieces of releases sent to hubs", chunks.sent)
    yield CounterMetricFamily("kanhu_update_chunk_bytes", "Bytes in them", chunks.bytes)
    yield CounterMetricFamily("kanhu_update_chunks_unsent", "Pieces that no link took", chunks.unsent)
