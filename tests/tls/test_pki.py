"""kanhu pki: a CA, what it issues, and its replacement without an outage."""

from __future__ import annotations

import json
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kanhu.cli import main
from kanhu.pki import Authority, PkiError, make_ca
from kanhu.pki.certificates import issue, sans_of
from kanhu.pki.files import for_hubs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """kanhu pki ... in a folder of its own: (exit status, output, errors)."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("KANHU_PKI_DIR", str(tmp_path / "pki"))
        monkeypatch.setattr("sys.argv", ["kanhu", "pki", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def test_what_is_made_has_sane_defaults(run: Run, authority: Authority) -> None:
    assert run("init")[0] == 0
    assert run("issue", "broker", "--san", "broker.lan", "--san", "192.0.2.7")[0] == 0
    ca, broker = authority.entries()
    for entry, days in ((ca, 3650), (broker, 397)):
        assert timedelta(days=days - 1) < entry.until - datetime.now(UTC) <= timedelta(days=days)
        key = entry.certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    constraints = ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    assert sans_of(broker.certificate) == ["broker.lan", "192.0.2.7"]
    assert broker.issuer == "ca"
    for path in authority.folder.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.load_cert_chain(authority.folder / "broker.crt", authority.folder / "broker.key")


def test_no_key_is_ever_printed(run: Run, authority: Authority) -> None:
    said = "".join(
        out + err
        for words in (
            ("init",),
            ("issue", "broker", "--san", "a.lan"),
            ("renew", "broker"),
            ("rotate", "begin"),
            ("rotate", "switch"),
            ("rotate", "finish"),
            ("show",),
            ("show", "--json"),
        )
        for _, out, err in [run(*words)]
    )
    assert "PRIVATE" not in said
    for path in authority.folder.glob("*.key"):
        for line in path.read_text().splitlines()[1:-1]:
            assert line not in said


def test_nothing_is_overwritten_unless_told_so(run: Run, authority: Authority) -> None:
    run("init")
    run("issue", "broker", "--san", "a.lan")
    before = {path: path.read_bytes() for path in authority.folder.iterdir()}
    status, _, said = run("init")
    assert status == 2
    assert "kanhu pki rotate replaces it without an outage" in said
    status, _, said = run("issue", "broker", "--san", "b.lan")
    assert status == 2
    assert "kanhu pki renew broker renews it" in said
    assert {path: path.read_bytes() for path in authority.folder.iterdir()} == before
    assert run("issue", "broker", "--san", "b.lan", "--force")[0] == 0
    assert sans_of(authority.entry("broker").certificate) == ["b.lan"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("issue", "broker"), "needs its host names and addresses: --san"),
        (("issue", "../x", "--san", "a.lan"), "write a plain name"),
        (("issue", "ca", "--san", "a.lan"), "write a plain name"),
        (("issue", "b", "--san", "no host"), "is no host name"),
        (("renew", "missing"), "kanhu pki show lists all"),
        (("renew", "ca"), "kanhu pki rotate"),
        (("rotate", "switch"), "kanhu pki rotate begin"),
        (("rotate", "finish"), "kanhu pki rotate begin"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    run("init")
    status, out, error = run(*words)
    assert (status, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


def test_without_a_ca_nothing_is_issued(run: Run) -> None:
    for words in (("show",), ("issue", "b", "--san", "a.lan"), ("rotate", "begin")):
        status, _, said = run(*words)
        assert status == 2
        assert "kanhu pki init makes one" in said


def test_renewed_for_the_same_names_with_a_new_key(run: Run, authority: Authority) -> None:
    run("init")
    run("issue", "broker", "--san", "a.lan", "--san", "192.0.2.7")
    key = (authority.folder / "broker.key").read_bytes()
    before = authority.entry("broker")
    run("renew", "broker")
    after = authority.entry("broker")
    assert (authority.folder / "broker.key").read_bytes() != key
    assert after.certificate.serial_number != before.certificate.serial_number
    assert sans_of(after.certificate) == ["a.lan", "192.0.2.7"]


def test_show_warns_before_the_end(run: Run) -> None:
    run("init")
    run("issue", "broker", "--san", "a.lan", "--days", "20")
    run("issue", "fine", "--san", "b.lan")
    status, out, _ = run("show")
    assert status == 1
    assert "broker expires in 20.0 days: kanhu pki renew broker" in out
    assert "fine expires" not in out
    assert run("show", "--warn-days", "10")[0] == 0
    status, out, _ = run("show", "--json")
    assert status == 1
    assert [row["name"] for row in json.loads(out)] == ["ca", "broker", "fine"]


def test_a_rotation_keeps_old_and_new_trusted_until_it_is_over(run: Run, authority: Authority) -> None:
    run("init", "--name", "first")
    run("issue", "broker", "--san", "a.lan")

    def trusted() -> list[str]:
        found = x509.load_pem_x509_certificates(authority.bundle.read_bytes())
        return [one.subject.rfc4514_string() for one in found]

    assert trusted() == ["CN=first"]
    assert "then kanhu pki rotate switch" in run("rotate", "begin", "--name", "second")[1]
    assert trusted() == ["CN=first", "CN=second"]
    assert authority.entry("broker").issuer == "ca"
    assert run("rotate", "begin")[0] == 2
    assert len(for_hubs(authority.bundle)) <= 1024
    assert "renewed: broker" in run("rotate", "switch")[1]
    assert trusted() == ["CN=second", "CN=first"]
    assert authority.entry("broker").certificate.issuer.rfc4514_string() == "CN=second"
    assert not list(authority.folder.glob("ca-old.key"))
    run("rotate", "finish")
    assert trusted() == ["CN=second"]


@pytest.mark.parametrize("step", ["begin", "switch", "finish"])
def test_a_rotation_cut_off_before_any_rename_goes_on(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Cut(BaseException):
        pass

    steps: dict[str, Callable[[], object]] = {
        "begin": lambda: authority.begin("second"), "switch": authority.switch, "finish": authority.finish,
    }  # fmt: skip
    replace, unlink = Path.replace, Path.unlink
    cuts, done = 0, False
    while not done:
        authority.init("first", force=True)
        authority.issue("broker", ["broker.lan"], force=True)
        for before in list(steps)[: list(steps).index(step)]:
            steps[before]()
        left = cuts

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut

        def counted_replace(path: Path, target: Path) -> Path:
            count()
            return replace(path, target)

        def counted_unlink(path: Path, missing_ok: bool = False) -> None:
            if not path.name.endswith(".new"):
                count()
            unlink(path, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted_replace)
            patch.setattr(Path, "unlink", counted_unlink)
            try:
                steps[step]()
                done = True
            except Cut:
                cuts += 1
        signer = authority.folder / f"{authority.entry('broker').issuer}.crt"
        assert signer.read_bytes() in authority.bundle.read_bytes(), "who trusts the bundle trusts the broker"
        if not done:  # as the folder says
            if not authority.rotation():
                steps["begin"]()
            if "switch" in authority.rotation():
                steps["switch"]()
            authority.renew("broker")
            authority.finish()
            assert "second" in authority.entry("ca").certificate.subject.rfc4514_string()
            assert authority.entry("broker").issuer == "ca"
            assert authority.bundle.read_bytes() == (authority.folder / "ca.crt").read_bytes()
    assert cuts >= {"begin": 3, "switch": 6, "finish": 2}[step]


def test_a_leaf_does_not_outlive_its_ca() -> None:
    ca = make_ca("short", days=10)
    made = issue(ca, "x", ["a.lan"])
    assert made.certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc


def test_a_bundle_too_long_for_a_hub_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "three.pem"
    path.write_bytes(b"".join(make_ca(name * 20).pem for name in "abc"))
    with pytest.raises(PkiError, match="a hub takes 1024"):
        for_hubs(path)
