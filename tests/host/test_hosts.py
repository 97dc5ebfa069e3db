"""Host names in the settings: what no resolver could take is one line, not a traceback."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kanhu.config import parse
from kanhu.errors import ConfigError
from kanhu.metrics import MetricsServer

NONE = ["", "a..b", ".a", "x" * 64 + ".example", "a b", "a\0b", "a\nb"]
SOME = ["localhost", "127.0.0.1", "::1", "broker.example.", "看护.example", "x" * 63]
SECTIONS: list[tuple[str, ...]] = [("hubs", "mqtt"), ("platform", "mqtt"), ("broker",), ("metrics",)]


def settings(section: tuple[str, ...], host: str) -> dict[str, object]:
    data: dict[str, Any] = {"host": host}
    for name in reversed(section):
        data = {name: data}
    return {"data_dir": "d", **data}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_host_that_can_be_none_is_one_line(section: tuple[str, ...]) -> None:
    for host in NONE:
        with pytest.raises(ConfigError, match="is no host name") as caught:
            parse(settings(section, host), "kanhu.toml")
        assert ".".join((*section, "host")) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_host_that_can_be_one_is_taken(section: tuple[str, ...]) -> None:
    for host in SOME:
        parse(settings(section, host), "kanhu.toml")


async def test_metrics_on_a_host_that_cannot_be_encoded() -> None:
    where = SimpleNamespace(host="a..b", port=0)
    daemon: Any = SimpleNamespace(config=SimpleNamespace(metrics=where))
    with pytest.raises(ConfigError, match=r"metrics\.port a\.\.b:0"):
        MetricsServer(daemon).start()
