"""Each trouble is one sentence with its cure, in both languages."""

from __future__ import annotations

import pytest

from kanhu.install.provision import words
from kanhu.install.provision.session import Heard, Settings, Step, _network, _step

SETTINGS = Settings(("home", "secret-password"), ("broker.lan", 8883, "7m3k0xq2fz", "broker-secret"), b"ca")
SEEN = [Heard("Home 2.4", -50, False), Heard("neighbour", -70, False), Heard("café", -80, True)]


def said(step: str, why: str, **more: object) -> words.Words:
    return words.sentence(Step(step, False, why, **more), SETTINGS, "7m3k0xq2fz", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", [*words._SAID, "something_new"])
def test_each_is_a_sentence_without_secrets(why: str) -> None:
    both = said("join", why, rssi=-86, more="technical")
    assert both.en != both.zh
    for text in both:
        assert "\n" not in text
        assert "{" not in text
        assert "secret" not in text
        assert "None" not in text
    assert any("\u4e00" <= char <= "\u9fff" for char in both.zh)
    assert ":" in both.en or why == "something_new"  # what is wrong: what to do
    assert len(both.en) < 260


def test_all_sentences_differ() -> None:
    texts = {why: said("join", why).en for why in words._SAID if why != "no_network"}
    assert len(set(texts.values())) == len(texts)


def test_facts_stand_in_them() -> None:
    assert "(-86 dBm; -80 or more is needed)" in said("join", "weak_signal", rssi=-86).en
    assert "broker.lan:8883" in said("broker", "broker_unreachable").en
    assert "7m3k0xq2fz" in said("broker", "broker_refused").en
    assert "(certificate expired)" in said("broker", "tls", more="certificate expired").en
    assert "（certificate expired）" in said("broker", "tls", more="certificate expired").zh
    assert said("later", "new_reason", more="x").en == "the hub says new_reason (x)"


def test_names_that_were_meant() -> None:
    step = Step("join", False, "no_such_network")
    close = words.sentence(step, Settings(("home2.4", "x" * 8)), "7m3k0xq2fz", SEEN)
    assert close.en.endswith("; it sees 'Home 2.4'")
    far = words.sentence(step, Settings(("zzz", "x" * 8)), "7m3k0xq2fz", SEEN)
    assert far.en.endswith("; it sees 'Home 2.4', 'neighbour', 'café'")
    none = words.sentence(step, Settings(("zzz", "x" * 8)), "7m3k0xq2fz", [])
    assert none.en.endswith("it sees none at all: is its antenna free?")


def test_a_step_that_went_well_only_warns() -> None:
    assert words.sentence(Step("join", True, "", -60), SETTINGS, "7m3k0xq2fz") == ("", "")
    assert (
        "signal is weak (-84 dBm"
        in words.sentence(Step("join", True, "weak_signal", -84), SETTINGS, "7m3k0xq2fz").en
    )
    mobile = Settings(network="ppp")
    assert "--apn" in words.sentence(Step("join", False, "not_joined"), mobile, "7m3k0xq2fz").en


def test_no_network_steers_a_terminal() -> None:
    heard = _network([b"\x1b[2JWang \xe7\x8e\x8b", -50, 0])
    assert heard is not None
    assert heard.ssid == "\ufffd[2JWang 王"
    step = _step({"step": "join", "why": "\x1b]0;mine\x07", "more": "a\nb"})
    assert (step.why, step.more) == ("\ufffd]0;mine\ufffd", "a\ufffdb")
