"""Every text of the pages exists, in both languages, and nothing is said that no text stands for."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from kanhu.web import words
from kanhu.web.scripts import SCRIPTS
from kanhu_protocol import kinds as k
from kanhu_protocol import names
from kanhu_protocol.checks import VALID

WEB = files("kanhu.web")
SCRIPTS_JS = "\n".join(
    one.read_text(encoding="utf-8") for one in (WEB / "static").iterdir() if one.name.endswith(".js")
)
TEMPLATES = "\n".join(one.read_text(encoding="utf-8") for one in (WEB / "templates").glob("*.html"))
# Keys that the scripts put together (say(`over_${late}`), say(`${stands}_field`)), errors that the log-in is
# asked to show, and states of a home.
MADE = {
    "over_60", "over_180", "below_field", "above_field", "well", "attention", "cannot_tell", "wrong_password",
    "too_many_tries", "signed_out", "session_over", "not_allowed", "provider_failed",
}  # fmt: skip


def test_every_text_that_is_said_exists() -> None:
    said = set(re.findall(r'(?:say|line)\(\s*"(\w+)"', SCRIPTS_JS)) | set(
        re.findall(r"text\.(\w+)", TEMPLATES)
    )
    for first, second in re.findall(r'(?:say|words =)[^"();]*\? "(\w+)" : "(\w+)"', SCRIPTS_JS):
        said |= {first, second}
    said |= set(re.findall(r'"((?:key|sound)_\w+)"', SCRIPTS_JS)) | set(
        re.findall(r'\[null, "(\w+)"\]', SCRIPTS_JS)
    )
    assert said - set(words.TEXT) == set()


def test_every_text_is_used() -> None:
    used = set(re.findall(r'"(\w+)"', SCRIPTS_JS)) | set(re.findall(r"text\.(\w+)", TEMPLATES))
    assert set(words.TEXT) - used - MADE == set()


@pytest.mark.parametrize(
    "table",
    [words.TEXT, words.KINDS, words.STATES, words.STEPS, words.MODES, words.LEVELS, words.CLASSES,
     words.ROLES, words.BY, words.ERRORS, words.REASONS],
)  # fmt: skip
def test_every_word_is_there_in_both_languages_with_the_same_places(table: dict[str, words.Words]) -> None:
    for key, one in table.items():
        assert one.en.strip(), key
        assert one.zh.strip(), key
        assert sorted(re.findall(r"\{\w+\}", one.en)) == sorted(re.findall(r"\{\w+\}", one.zh)), key


def test_every_kind_that_can_become_an_alarm_has_a_name_and_a_script() -> None:
    answers = {k.CALL_UNANSWERED, k.TEST_CALL, k.PRE_ALARM, k.PRE_ALARM_CANCELLED}
    kinds = {
        name for kind, name in names.KINDS.items() if k.class_of(kind) in (k.P1, k.P2) and kind not in answers
    }
    assert kinds - set(words.KINDS) == set()
    assert kinds - set(SCRIPTS) == set()


def test_every_fault_state_level_mode_and_role_has_a_name() -> None:
    assert {
        name for kind, name in names.KINDS.items() if kind in names.RESTORAL and kind != k.INCIDENT_OPENED
    } - set(words.KINDS) == set()
    assert {
        names.STATES[one] for one in (k.OPEN, k.PRE, k.ACCEPTED, k.DISPATCHED, k.ON_SCENE, k.CLOSED)
    } == set(words.STATES)
    assert set(names.LEVELS.values()) == set(words.LEVELS)
    assert set(names.MODES.values()) == set(words.MODES)
    assert set(names.ROLES.values()) <= set(words.ROLES)


def test_a_script_asks_and_does_something_in_both_languages() -> None:
    for kind, script in SCRIPTS.items():
        assert script.ask, kind
        assert script.do, kind
        for line in (*script.ask, *script.do):
            assert line.en.strip(), kind
            assert re.search(r"[\u4e00-\u9fff]", line.zh), kind


def test_reasons_fit_into_an_event() -> None:
    assert all(VALID[k.REASON](code) for code in words.REASONS)


@pytest.mark.parametrize(
    ("accept", "language"),
    [("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de,en;q=0.5,zh;q=0.4", "en"),
     ("en;q=0,zh-TW;q=0.1", "zh"), ("fr", "en"), (";;q=x,,", "en"), ("en-GB;q=0.3,zh;q=0.9", "zh")],
)  # fmt: skip
def test_the_language_of_who_has_not_signed_in(accept: str, language: str) -> None:
    assert words.language_of(accept) == language
