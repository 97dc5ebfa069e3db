"""A hub is said to be silent once, after its limit, and back once."""

from __future__ import annotations

from kanhu.silence import GRACE_S, SLACK, Silence, limit_s


def test_silent_once_back_once() -> None:
    watch = Silence(limit_s(300, 3), 0.0)
    limit = 900 * SLACK
    assert not watch.heard("a", 10.0)
    assert list(watch.fallen_silent(10.0 + limit)) == []
    assert [hub for hub, _ in watch.fallen_silent(11.0 + limit)] == ["a"]
    assert list(watch.fallen_silent(5000.0)) == []
    assert watch.heard("a", 6000.0)
    assert not watch.heard("a", 6001.0)


def test_a_restart_of_the_daemon_forgives_no_silence() -> None:
    start = 10_000.0
    for _ in range(20):  # a daemon that dies every two minutes
        watch = Silence(limit_s(300, 3), start)
        watch.restore("long", silent=False, since_s=start)
        watch.restore("lately", silent=False, since_s=200.0)
        watch.restore("said", silent=True, since_s=start)
        assert list(watch.fallen_silent(start + GRACE_S)) == [], "hubs may come back first"
        assert [hub for hub, _ in watch.fallen_silent(start + GRACE_S + 1)] == ["long"]
        start += 120
    assert watch.heard("said", start)
    watch.restore("lately", silent=False, since_s=5000.0)
    assert [hub for hub, _ in watch.fallen_silent(start + 1200)] == ["lately", "said"]


def test_a_hub_heard_since_the_start_needs_no_grace_and_a_short_limit_none_longer() -> None:
    watch = Silence(limit_s(5, 1), 0.0)
    watch.restore("b", silent=False, since_s=-50.0)  # the host's clock was set back
    watch.restore("c", silent=False, since_s=100.0)
    watch.heard("a", 1.0)
    assert list(watch.fallen_silent(6.0)) == []
    assert [hub for hub, _ in watch.fallen_silent(6.5)] == ["b", "c"]
    assert [hub for hub, _ in watch.fallen_silent(7.5)] == ["a"]


def test_what_could_not_be_kept_is_said_again() -> None:
    watch = Silence(limit_s(5, 1), 0.0)
    watch.heard("a", 1.0)
    assert [hub for hub, _ in watch.fallen_silent(60.0)] == ["a"]
    watch.not_said("a", silent=True)
    assert list(watch.fallen_silent(61.0)) == [("a", 60.0)]
    assert watch.heard("a", 62.0)
    watch.not_said("a", silent=False)
    assert watch.heard("a", 63.0)
    assert not watch.heard("a", 64.0)
