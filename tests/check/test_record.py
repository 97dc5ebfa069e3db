"""The record: one form, one signature, kept with the home, told to the city, gone with it."""

from __future__ import annotations

import asyncio
import copy
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import helpers_cli
from kanhu.errors import KanhuError
from kanhu.install import signing as keys
from kanhu.install.check import record, signing
from kanhu.install.check.findings import Finding
from kanhu.install.check.requests import handler
from kanhu.install.check.surveys import Surveys
from kanhu.journal import Journal
from kanhu.journal.commands import Commands
from kanhu.pairing.walks import Walks
from kanhu.registry import Registry
from kanhu.registry.acceptances import Acceptances
from kanhu.registry.operators import Operators
from kanhu_protocol import kinds as k

FINDINGS = (
    Finding("hub", "heard", "good", values={"seconds": 1}),
    Finding("battery", "low", "remark", 3, {"percent": 9}),
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "installer.pem")
    return tmp_path / "installer.pem"


class Place:
    """A data_dir with a home, a hub, and what the daemon would do about records."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.registry = Registry.open(self.data)
        self.home = self.registry.add_home("cn/42", name="张秀英")
        self.hub, _ = self.registry.add_hub(self.home)
        self.registry.add_sensor(self.hub, "call", "A4:C1:38:00:00:01", "挂坠", "bedroom", index=3)

    def make_journal(self) -> None:
        """As a daemon that ran once leaves it."""

        async def make() -> None:
            await Journal.open(self.data).close()

        asyncio.run(make())

    def signed(self, key: Path, by: str = "inst7", name: str = "", **changed: Any) -> record.Signed:
        fields = signing.record_of(self.registry, self.hub, FINDINGS, 1_790_000_000_000) | changed
        return signing.sign(fields, signing.installer(self.registry, by, name), key)

    def accept(self, found: record.Signed) -> dict[str, Any]:
        """As the daemon does it; the event it says comes back as `event`."""

        async def ask() -> dict[str, Any]:
            journal = Journal.open(self.data)
            try:
                surveys = Surveys(self.registry, Commands(journal), None)  # type: ignore[arg-type]
                said: list[Any] = []
                journal.on_stored.append(said.extend)
                answer = await handler(surveys, Walks(self.registry, journal), self.registry, journal)(
                    {"do": "check.accept", "record": found.data.decode(), "signature": found.signature.hex()}
                )
                return {**answer, "event": [(event.kind, event.fields) for event in said]}
            finally:
                await journal.close()

        return asyncio.run(ask())


@pytest.fixture
def place(tmp_path: Path) -> Any:
    made = Place(tmp_path)
    yield made
    made.registry.close()


def test_a_record_says_who_when_and_what_and_nothing_of_the_elder(place: Place, key: Path) -> None:
    found = place.signed(key, name="王师傅")
    fields = found.fields()
    assert fields["verdict"] == "passed_with_remarks"
    assert fields["by"] == {
        "id": "inst7",
        "name": "王师傅",
        "key": keys.load_public(keys.public_path(key)).hex(),
    }
    assert (fields["hub"], fields["home"], fields["region"]) == (place.hub, place.home, "cn/42")
    assert {
        "device": 3,
        "step": "battery",
        "values": {"percent": 9},
        "verdict": "remark",
        "what": "low",
    } in fields["findings"]
    assert "张秀英" not in found.data.decode()
    assert record.canonical(json.loads(found.data)) == found.data
    assert found.by([keys.load_public(keys.public_path(key))])
    assert found.by([Ed25519PrivateKey.generate().public_key().public_bytes_raw()]) is None


def test_an_installer_is_named_as_the_desk_knows_them(place: Place) -> None:
    Operators(place.registry).add("wang", "王师傅", password="a long password")
    assert signing.installer(place.registry, "wang", "").name == "王师傅"
    assert signing.installer(place.registry, "wang", "Wang").name == "Wang"
    assert signing.installer(place.registry, "li", "") == ("li", "li")
    for wrong in ("", " ", "x" * 65, "a\nb"):
        with pytest.raises(KanhuError, match="--by"):
            signing.installer(place.registry, wrong, "")


def test_it_is_kept_and_said_to_the_platform(place: Place, key: Path) -> None:
    found = place.signed(key)
    answer = place.accept(found)
    assert answer["digest"] == found.digest
    ((kind, fields),) = answer["event"]
    assert kind == k.INSTALLATION_ACCEPTED
    assert {key: fields[key] for key in (k.SUBJECT, k.OPERATOR, k.VERDICT, k.RECORD)} == {
        k.SUBJECT: place.hub, k.OPERATOR: "inst7", k.VERDICT: 2, k.RECORD: found.digest,
    }  # fmt: skip
    place.accept(found)  # a second time changes nothing
    (kept,) = Acceptances(place.registry).of(place.hub)
    assert (kept.record, kept.signature, kept.digest) == (found.data, found.signature, found.digest)


@pytest.mark.parametrize("how", ["verdict", "another key", "form", "no json", "signature", "field", "hub"])
def test_what_was_changed_is_refused_and_not_kept(place: Place, key: Path, how: str) -> None:
    found = place.signed(key)
    fields = copy.deepcopy(found.fields())
    if how == "verdict":
        fields["verdict"] = "passed"
    elif how == "another key":
        fields["by"]["key"] = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    elif how == "field":
        del fields["findings"]
    elif how == "hub":
        found = place.signed(key, hub="0000000000")
        fields = found.fields()
    data = record.canonical(fields)
    if how == "form":
        data = json.dumps(fields).encode()
    elif how == "no json":
        data = b"[]"
    signature = bytes(64) if how == "signature" else found.signature
    with pytest.raises(KanhuError) as refused:
        place.accept(record.Signed(data, signature))
    assert "\n" not in str(refused.value)
    assert not Acceptances(place.registry).of(place.hub)


def test_it_is_exported_with_the_home_and_erased_with_it(
    place: Place,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kanhu = helpers_cli.runner(monkeypatch, capsys)
    found = place.signed(key)
    place.accept(found)
    out = tmp_path / "home.json"
    done = kanhu("registry", "export-home", place.home, "--out", out, "--data-dir", place.data)
    assert done.returncode == 0, done.stderr
    (exported,) = json.loads(out.read_text(encoding="utf-8"))["acceptances"]
    assert (exported["hub"], exported["digest"], exported["record"]) == (
        place.hub,
        found.digest,
        found.fields(),
    )
    assert bytes.fromhex(exported["signature"]) == found.signature
    place.registry.forget_home(place.home, discard=True)
    with closing(Registry.open(place.data)) as registry:
        assert registry._db.execute("SELECT count(*) FROM acceptances").fetchone() == (0,)
    assert found.digest.encode() not in (place.data / "registry.db").read_bytes()


def test_files_that_are_no_records(tmp_path: Path, place: Place, key: Path) -> None:
    good = json.loads(place.signed(key).file())
    for number, text in enumerate(
        ("", "[]", "{}", '{"record": 1, "signature": "00"}', '{"record": {}, "signature": "zz"}',
         json.dumps({**good, "record": {**good["record"], "at_ms": 1.5}}), "[" * 100_000,
         json.dumps({**good, "record": {**good["record"], "verdict": ["passed"]}}),
         json.dumps({**good, "record": {**good["record"], "at_ms": 10**30}}),
         json.dumps({**good, "record": {**good["record"], "by": {**good["record"]["by"], "id": "\x1b[2J"}}}))
    ):  # fmt: skip
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        with pytest.raises(record.RecordError):
            record.read(path).fields()
    with pytest.raises(record.RecordError, match="No such file"):
        record.read(tmp_path / "none.json")


# The commands


def test_show_and_verify_at_the_terminal(
    place: Place,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kanhu = helpers_cli.runner(monkeypatch, capsys)
    here = ("--data-dir", place.data)
    place.make_journal()
    done = kanhu("check", "show", place.hub, *here)
    assert (done.returncode, "nobody has signed" in done.stderr) == (2, True)
    place.accept(place.signed(key, at_ms=1_780_000_000_000))
    newest = place.signed(key)
    place.accept(newest)
    done = kanhu("check", "show", place.hub, *here)
    assert newest.digest in done.stdout
    assert "battery 3: low (remark)" in done.stdout
    assert done.stdout.count("earlier:") == 1
    public = keys.public_path(key)
    assert kanhu("check", "verify", place.hub, "--trust", public, *here).returncode == 0
    other = tmp_path / "other.pem"
    assert kanhu("check", "keygen", other).returncode == 0
    done = kanhu("check", "verify", place.hub, "--trust", keys.public_path(other), *here, "--json")
    assert (done.returncode, json.loads(done.stdout)["valid"]) == (1, False)
    both = ("--trust", keys.public_path(other), "--trust", public)
    assert kanhu("check", "verify", place.hub, *both, *here).returncode == 0
    assert kanhu("check", "verify", place.hub, "--trust", key, *here).returncode == 2  # the private one


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--by", "inst7"), "give both --by and --key"),
        (("--out", "page.txt"), "ends in .pdf"),
        (("--lang", "fr"), "must be zh or en"),
        (("--seconds", "1"), "must be 5 to 600"),
        (("--wait", "0"), "must be 1 to 120"),
        (("--skip", "press"), "write WHAT=REASON"),
        (("--skip", "sleep=tired"), "write WHAT=REASON"),
        (("--skip", "press:99=gone"), "write WHAT=REASON"),
        (("--by", "inst7", "--key", "none.pem"), "none.pem"),
        ((), "no daemon runs"),
    ],
)
def test_a_check_is_refused_before_anybody_walks(
    place: Place,
    words: tuple[str, ...],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kanhu = helpers_cli.runner(monkeypatch, capsys)
    place.make_journal()
    done = kanhu("check", place.hub, *words, "--data-dir", place.data)
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
