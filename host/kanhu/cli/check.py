"""`kanhu check`: the acceptance of a home, beside a running daemon; and the records that installers sign."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kanhu import requests
from kanhu.cli.check_screen import Quiet, Screen
from kanhu.cli.family import settings_of
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import AsJson, open_registry, said, when
from kanhu.errors import KanhuError
from kanhu.install import signing as keys
from kanhu.install.check import record, run, sheet, signing, words
from kanhu.pairing import PROOF_S
from kanhu.registry.acceptances import Acceptances
from kanhu.status import is_running


class _Check(TyperGroup):
    """`kanhu check HUB` is `kanhu check home HUB`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            args = ["home", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Check, no_args_is_help=True, help="Check a home: kanhu check HUB. What else there is:")


@app.command("home", help="Check all of a home and say what is wrong; `kanhu check HUB` is the same.")
def home(
    hub: str,
    by: Annotated[str, typer.Option("--by", help="The installer's id; signs, with --key.")] = "",
    name: Annotated[str, typer.Option("--name", help="The installer's name, as the family reads it.")] = "",
    key: Annotated[
        Path | None, typer.Option("--key", help="The installer's key (kanhu check keygen).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A page for the family, .pdf.")] = None,
    lang: Annotated[str, typer.Option("--lang", help="zh or en; of the page, too.")] = "",
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip", help="WHAT=REASON, WHAT being press, walk, survey or press:INDEX. Repeatable."
        ),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--seconds", help="How long sensors are listened to.")
    ] = run.SURVEY_S,
    wait: Annotated[
        int, typer.Option("--wait", help="How long a press or a movement is waited for, s.")
    ] = PROOF_S,
    lab: Annotated[bool, typer.Option("--lab", help="The page's code may be of a desk of your own.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Exit 1 when the home has failed. Without --by and --key nothing is recorded."""
    folder = journal_dir(data_dir, config)
    if bool(by) != (key is not None):
        raise KanhuError("to sign, give both --by and --key; without them nothing is recorded")
    if out is not None and out.suffix.lower() != ".pdf":
        raise KanhuError(f"{out}: write a name that ends in .pdf")
    language = _language(lang)
    planned = run.plan(folder, hub, language, seconds, wait, skip or [])
    with open_registry(folder, "read") as registry:
        who = signing.installer(registry, by, name) if by else None
    if key is not None:
        keys.load_private(key)  # refused before a person walks about
    if not is_running(folder):
        raise KanhuError(f"no daemon runs in {folder}: start it (kanhu run), and try again")
    screen = Quiet() if as_json else Screen(language)
    with screen:
        found = run.run(planned, screen)
    with open_registry(folder, "read") as registry:
        fields = signing.record_of(registry, hub, found, signing.now_ms())
    digest = ""
    if who is not None and key is not None:
        signed = signing.sign(fields, who, key)
        asked = {"do": "check.accept", "record": signed.data.decode(), "signature": signed.signature.hex()}
        digest = requests.ask(folder, asked)["digest"]
    if out is not None:
        with open_registry(folder, "change") as registry:
            made = sheet.of(registry, settings_of(data_dir, config).web, hub, found, who, language, lab)
        _write(out, sheet.pdf_of(made))
    result = {**fields, "recorded": digest or None, "file": str(out) if out is not None else None}
    said(result, as_json, _sentence(fields["verdict"], digest, out, language))
    if fields["verdict"] == "failed":
        raise typer.Exit(1)


@app.command("keygen")
def keygen(path: Path, as_json: AsJson = False) -> None:
    """A key for an installer: PATH (private, for them alone) and its .pub.pem (for whoever verifies)."""
    public = keys.generate(path)
    result = {"private": str(path), "public": str(keys.public_path(path)), "key": keys.fingerprint(public)}
    said(result, as_json, f"{path} signs; {keys.public_path(path)} is what others verify with")


@app.command("show")
def show(
    hub: str,
    out: Annotated[Path | None, typer.Option("--out", help="Write the newest record into a file.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The newest record of a hub, and when the others were made."""
    found = _kept(journal_dir(data_dir, config), hub)
    newest = record.Signed(found[0].record, found[0].signature)
    if out is not None:
        _write(out, newest.file().encode())
    if as_json:
        print(newest.file(), end="")
        return
    fields = newest.fields()
    by = fields["by"]
    print(f"hub {hub}: {fields['verdict']}, {when(fields['at_ms'])}, by {by['name']} ({by['id']})")
    print(f"record {newest.digest}, key {by['key']}")
    for one in fields["findings"]:
        if one["verdict"] != "good":
            device = f" {one['device']}" if "device" in one else ""
            print(f"  {one['step']}{device}: {one['what']} ({one['verdict']})")
    for earlier in found[1:]:
        print(f"earlier: {when(earlier.at_ms)}, record {earlier.digest}")


@app.command("verify")
def verify(
    what: Annotated[str, typer.Argument(metavar="FILE|HUB", help="A record's file, or a hub.")],
    trust: Annotated[list[Path], typer.Option("--trust", help="An installer's .pub.pem. Repeatable.")],
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Whether a record is as it was signed, by a key that you trust. Exit 1: it is not."""
    trusted = [keys.load_public(path) for path in trust]
    if os.path.exists(what):
        found = record.read(Path(what))
    else:
        newest = _kept(journal_dir(data_dir, config), what)[0]
        found = record.Signed(newest.record, newest.signature)
    fields = found.fields()
    public = found.by(trusted)
    result = {
        "hub": fields["hub"], "digest": found.digest, "verdict": fields["verdict"], "at_ms": fields["at_ms"],
        "by": fields["by"], "valid": public is not None,
    }  # fmt: skip
    if public is None:
        text = f"NOT VALID: record {found.digest} was changed, or signed by none of the keys given"
    else:
        text = (
            f"valid: hub {fields['hub']} {fields['verdict']}, {when(fields['at_ms'])}, "
            f"signed by {fields['by']['name']} ({fields['by']['id']})"
        )
    said(result, as_json, text)
    if public is None:
        raise typer.Exit(1)


def _kept(folder: Path, hub: str) -> list[Any]:
    with open_registry(folder, "read") as registry:
        found = Acceptances(registry).of(hub)
    if not found:
        raise record.RecordError(
            f"hub {hub}: nobody has signed for it yet: kanhu check {hub} --by ID --key PEM"
        )
    return found


def _language(given: str) -> words.Lang:
    language = given or ("zh" if os.environ.get("LANG", "").startswith("zh") else "en")
    if language == "zh":
        return "zh"
    if language == "en":
        return "en"
    raise KanhuError(f"--lang {given}: must be zh or en")


def _write(path: Path, data: bytes) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise KanhuError(f"{path}: {error.strerror}; name a place where you may write") from None


def _sentence(verdict: str, digest: str, out: Path | None, lang: words.Lang) -> str:
    lines = [words.pick(words.VERDICTS[verdict], lang)]
    lines.append(words.pick(words.RECORDED if digest else words.NOT_RECORDED, lang, digest=digest))
    if out is not None:
        lines.append(words.pick(words.PAGE_IS, lang, path=out))
    return "\n".join(lines)
