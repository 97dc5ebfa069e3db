"""A hub is said to be silent once, after its limit, and back once."""

from __future__ import annotations

from kanhu.silence import SLACK, Silence


def test_silent_once_back_once() -> None:
    watch = Silence(300, 3, 0.0)
    limit = 900 * SLACK
    assert not watch.heard("a", 10.0)
    assert list(watch.fallen_silent(10.0 + limit)) == []
    assert [hub for hub, _ in watch.fallen_silent(11.0 + limit)] == ["a"]
    assert list(watch.fallen_silent(5000.0)) == []
    assert watch.heard("a", 6000.0)
    assert not watch.heard("a", 6001.0)


def test_a_restart_of_the_daemon_gives_every_hub_its_full_limit() -> None:
    watch = Silence(10, 3, 100.0)
    watch.restore("a", silent=False)
    watch.restore("b", silent=True)
    assert list(watch.fallen_silent(136.0)) == []
    assert [hub for hub, _ in watch.fallen_silent(137.0)] == ["a"]
    assert watch.heard("b", 138.0)
