"""Who may open a home's page, as the registry keeps it: links, PINs, tries; nothing outlives the home."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu import export
from kanhu.registry import Registry, RegistryError, operators
from kanhu.registry import families as module
from kanhu.registry.families import (
    LOCKS_S,
    TRIES,
    Families,
    FamilyRecord,
    Locked,
    PinError,
    digits,
    fits,
    hashed,
    wearers_of,
)
from kanhu.registry.store import MIGRATIONS

PIN, OTHER = "139246", "842075"
HOUR_MS = 3_600_000


class Clock:
    """Host UTC ms, moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def later(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class Here:
    """A registry with one home and one hub, and its families."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.registry = Registry.open(folder)
        self.home = self.registry.add_home("cn/42", name="张秀英")
        self.hub, _ = self.registry.add_hub(self.home)
        self.families = Families(self.registry, self.clock)

    def elsewhere(self) -> Families:
        """The same file as another process sees it."""
        return Families(Registry.open(self.folder), self.clock)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "BCRYPT_COST", 4)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    found = Here(tmp_path)
    yield found
    found.registry.close()


# Links


def test_a_label_has_128_random_bits_and_stays(here: Here) -> None:
    token = here.families.label(here.hub)
    assert len(token) == 22
    assert here.families.label(here.hub) == token
    assert here.elsewhere().label(here.hub) == token
    assert here.families.hub_of(token) == here.hub
    assert list(here.families.labels_made()) == [here.hub]


def test_two_processes_make_one_label(here: Here) -> None:
    other = here.elsewhere()
    assert other.labelled(here.hub) is None
    assert here.families.label(here.hub) == other.label(here.hub)


def test_a_renewed_link_is_dead_and_so_is_a_revoked_hubs(here: Here) -> None:
    old = here.families.label(here.hub)
    daemon = here.elsewhere()
    assert daemon.hub_of(old) == here.hub
    new = here.families.renew(here.hub)
    assert new != old
    assert daemon._registry.refresh()
    for families in (here.families, daemon):
        assert families.hub_of(old) is None
        assert families.hub_of(new) == here.hub
    here.registry.revoke_hub(here.hub)
    assert here.families.hub_of(new) is None
    assert here.families.labelled(here.hub) is None
    with pytest.raises(RegistryError, match="revoked"):
        here.families.label(here.hub)
    with pytest.raises(RegistryError, match="not known"):
        here.families.label("0000000000")


@pytest.mark.parametrize("token", ["", "x", "../../etc", "é" * 22, "a" * 5000])
def test_no_other_text_is_a_link(here: Here, token: str) -> None:
    here.families.label(here.hub)
    assert here.families.hub_of(token) is None


# PINs


@pytest.mark.parametrize(
    ("typed", "pin"),
    [
        ("139246", "139246"),
        (" 139 246\n", "139246"),
        ("１３９２４６", "139246"),
        ("١٣٩٢٤٦", "139246"),
        ("१३९२४६", "139246"),
        ("139246139246", "139246139246"),
    ],
)
def test_digits_of_any_script(typed: str, pin: str) -> None:
    assert digits(typed) == pin


@pytest.mark.parametrize(
    "typed", ["", "13924", "1392461392461", "13924x", "1392½6", "一三九二四六", "-139246", "9" * 5000]
)
def test_what_is_no_pin(typed: str) -> None:
    with pytest.raises(PinError) as refused:
        digits(typed)
    assert refused.value.why == "digits"
    assert not typed or typed not in str(refused.value)


@pytest.mark.parametrize(
    "pin", ["111111", "000000000000", "123456", "654321", "３４５６７８", "890123", "210987"]
)
def test_a_pin_that_is_guessed_first_is_refused(here: Here, pin: str) -> None:
    with pytest.raises(PinError) as refused:
        here.families.claim(here.home, pin)
    assert refused.value.why == "simple"
    assert here.families.of(here.home) is None


@given(st.text(max_size=20))
def test_any_text_is_a_pin_or_an_error(text: str) -> None:
    try:
        found = digits(text)
    except PinError:
        return
    assert found.isascii()
    assert found.isdecimal()
    assert 6 <= len(found) <= 12
    assert digits(found) == found


def test_claimed_once(here: Here) -> None:
    record = here.families.claim(here.home, PIN)
    assert fits(PIN, record.pin)
    assert not fits(OTHER, record.pin)
    assert here.families.of(here.home) == record == here.elsewhere().of(here.home)
    with pytest.raises(RegistryError, match="claimed"):
        here.families.claim(here.home, OTHER)
    with pytest.raises(RegistryError, match="claimed"):
        here.elsewhere().claim(here.home, OTHER)
    with pytest.raises(RegistryError, match="not known"):
        here.families.claim("0000000000", PIN)


def test_another_pin_and_a_reset_end_visits(here: Here) -> None:
    epochs = [here.families.claim(here.home, PIN).epoch]
    epochs.append(here.families.set_pin(here.home, OTHER).epoch)
    epochs.append(here.families.end_visits(here.home).epoch)
    found = here.families.of(here.home)
    assert found is not None
    assert fits(OTHER, found.pin)
    assert here.families.reset(here.home)
    assert here.families.of(here.home) is None
    assert not here.families.reset(here.home)
    epochs.append(here.families.claim(here.home, PIN).epoch)
    assert len(set(epochs)) == 4  # none comes again, so no old cookie does
    here.families.reset(here.home)
    with pytest.raises(RegistryError, match="no family"):
        here.families.set_pin(here.home, PIN)
    with pytest.raises(RegistryError, match="no family"):
        here.families.attempt(here.home)


def test_a_change_does_not_read_the_whole_registry_again(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("20,000 homes take half a second of the daemon's loop")

    monkeypatch.setattr(here.registry, "_load", never)
    here.families.label(here.hub)
    here.families.claim(here.home, PIN)
    here.families.right(here.families.attempt(here.home))
    here.families.set_pin(here.home, OTHER)
    here.families.set_wearer(here.hub, 1, 2, "爸爸", "family")
    here.families.renew(here.hub)
    here.families.reset(here.home)


# Tries


def tried(here: Here, pin: str, families: Families | None = None) -> bool:
    """A whole try, as the page makes it."""
    families = families or here.families
    record = families.attempt(here.home)
    return fits(pin, record.pin) and families.right(record) is not None


def test_locks_grow_and_outlive_a_restart(here: Here) -> None:
    here.families.claim(here.home, PIN)
    for _ in range(TRIES):
        assert not tried(here, OTHER)
    for lock_s in (*LOCKS_S, LOCKS_S[-1], LOCKS_S[-1]):
        again = here.elsewhere()  # a daemon that was started anew
        with pytest.raises(Locked) as refused:
            tried(here, PIN, again)  # the right one, too
        assert refused.value.until_ms == here.clock.ms + lock_s * 1000
        here.clock.later(lock_s - 1)
        with pytest.raises(Locked):
            tried(here, PIN)
        here.clock.later(1)
        assert not tried(here, OTHER)
    here.clock.later(LOCKS_S[-1])
    assert tried(here, PIN)
    found = here.families.of(here.home)
    assert found is not None
    assert (found.wrong, found.locked_until_ms) == (0, 0)
    for _ in range(TRIES):
        assert not tried(here, OTHER)
    here.families.set_pin(here.home, PIN)  # whoever is in puts it right
    assert tried(here, PIN)


def test_a_try_that_never_ended_is_counted(here: Here) -> None:
    here.families.claim(here.home, PIN)
    for _ in range(TRIES):
        here.families.attempt(here.home)
    with pytest.raises(Locked):
        here.elsewhere().attempt(here.home)


def test_a_try_that_cannot_be_counted_is_none(here: Here) -> None:
    here.families.claim(here.home, PIN)
    with closing(sqlite3.connect(here.registry.path)) as writer:
        here.registry._db.execute("PRAGMA busy_timeout=1")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryError, match="nothing was changed"):
            here.families.attempt(here.home)


def test_a_try_under_way_while_the_pin_is_set_anew_is_not_right(here: Here) -> None:
    here.families.claim(here.home, PIN)
    record = here.families.attempt(here.home)
    assert fits(PIN, record.pin)
    here.elsewhere().set_pin(here.home, OTHER)
    assert here.families.right(record) is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2000)), min_size=1, max_size=40))
def test_no_sequence_gets_more_tries_than_the_count_allows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    here = Here(tmp_path_factory.mktemp("r"))
    kept = FamilyRecord(here.home, 0, 0, hashed(PIN), 0, 0).pin
    here.families.claim_hashed(here.home, kept)
    clients = [here.families, here.elsewhere(), here.elsewhere()]
    looked: list[int] = []
    for client, wait_s in steps:
        here.clock.later(wait_s)
        try:
            clients[client].attempt(here.home)
            looked.append(here.clock.ms)
        except Locked:
            pass
    for one in clients:
        one._registry.close()
    # Each look after the fourth is at least a lock after the one before it.
    for n in range(TRIES, len(looked)):
        assert looked[n] - looked[n - 1] >= LOCKS_S[min(n - TRIES, len(LOCKS_S) - 1)] * 1000


def test_threads_with_files_of_their_own_get_no_more_tries_either(here: Here) -> None:
    here.families.claim(here.home, PIN)
    looked = []

    def guess() -> None:
        with closing(Registry.open(here.folder)) as registry:
            families = Families(registry, here.clock)
            for _ in range(4):
                try:
                    looked.append(families.attempt(here.home))
                except Locked:
                    return

    threads = [threading.Thread(target=guess) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == TRIES


# Whose a reading was


def test_whose_a_reading_was(here: Here) -> None:
    families = here.families
    assert families.wearers(here.hub) == {}
    families.set_wearer(here.hub, 3, 70_000, " 爸爸 ", "family")
    families.set_wearer(here.hub, 3, 70_001, "妈妈", "family")
    families.set_wearer(here.hub, 3, 70_001, "爸爸", "family")
    assert families.wearers(here.hub) == {(3, 70_000): "爸爸", (3, 70_001): "爸爸"}
    assert families.wearer_of(here.hub, 3, 70_001) == "爸爸"
    families.set_wearer(here.hub, 3, 70_001, "", "family")
    assert families.wearer_of(here.hub, 3, 70_001) is None
    with pytest.raises(RegistryError, match="one line"):
        families.set_wearer(here.hub, 3, 70_000, "two\nlines", "family")
    with pytest.raises(RegistryError, match="not known"):
        families.set_wearer("0000000000", 3, 70_000, "爸爸", "family")
    families.forget_wearers(here.clock.ms)
    assert families.wearers(here.hub) == {(3, 70_000): "爸爸"}
    families.forget_wearers(here.clock.ms + 1)
    assert families.wearers(here.hub) == {}


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("", []),
        ("爸爸", ["爸爸"]),
        ("爸爸、妈妈", ["爸爸", "妈妈"]),
        ("Mum, Dad，", ["Mum", "Dad"]),
        ("、,", []),
    ],
)
def test_who_shares_a_monitor(typed: str, names: list[str]) -> None:
    assert wearers_of(typed) == names


# The end of it


def test_nothing_outlives_the_home(here: Here) -> None:
    token = here.families.label(here.hub)
    kept = here.families.claim(here.home, PIN).pin
    here.families.set_wearer(here.hub, 3, 1, "隔壁老王", "family")
    raw = here.registry.path.read_bytes()
    secrets = [text.encode() for text in (token, kept, "隔壁老王")]
    assert all(secret in raw for secret in secrets)
    here.registry.forget_home(here.home, True)
    raw = here.registry.path.read_bytes()
    assert not any(secret in raw for secret in secrets)
    assert here.families.hub_of(token) is None
    assert here.families.of(here.home) is None
    assert here.families.wearers(here.hub) == {}


def test_an_export_says_it_and_holds_no_key_to_the_page(here: Here, tmp_path: Path) -> None:
    token = here.families.label(here.hub)
    out = tmp_path / "before.json"
    export.write(here.folder, here.registry, here.home, out)
    assert json.loads(out.read_text())["family"] == {"claimed_ms": None}
    record = here.families.claim(here.home, PIN)
    here.families.set_wearer(here.hub, 3, 1, "爸爸", "family")
    out = tmp_path / "after.json"
    export.write(here.folder, here.registry, here.home, out)
    text = out.read_text()
    assert token not in text
    assert record.pin not in text
    found = json.loads(text)
    assert found["family"] == {"claimed_ms": here.clock.ms}
    assert found["reading_wearers"] == [
        {"hub": here.hub, "boot": 3, "seq": 1, "wearer": "爸爸", "by": "family", "at_ms": here.clock.ms}
    ]


def test_a_registry_of_before_gets_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as old:
        from kanhu.registry import store

        old.setattr(store, "MIGRATIONS", MIGRATIONS[:8])
        with closing(Registry.open(tmp_path)) as registry:
            hub, _ = registry.add_hub(registry.add_home())
    with closing(Registry.open(tmp_path)) as registry:
        assert module.Families(registry).label(hub)
