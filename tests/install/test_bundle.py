"""A bundle is loaded whole and as signed, or refused in one sentence: damage, strangers, signed mistakes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from helpers_firmware import bundle, for_chip, loaded, public_key, test_key
from kanhu.install import boards, partitions, release, signing
from kanhu.install.bundle import BundleError, encode, install_json, load
from kanhu.install.firmware import build_files

FILES = ("manifest.json", "manifest.sig", "install.json", "application.kfw",
         "bootloader.bin", "partitions.bin", "micropython.bin", "vfs.bin")  # fmt: skip
STRANGER = signing.public_bytes(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def refusal(folder: Path) -> str:
    """Why a bundle is refused."""
    with pytest.raises(BundleError) as refused:
        load(folder, [public_key()])
    said = str(refused.value)
    assert said
    assert "\n" not in said
    assert len(said) < 400
    return said


def resign(folder: Path, manifest: bytes) -> None:
    """What only the holder of the key can do."""
    (folder / "manifest.json").write_bytes(manifest)
    signature = test_key().sign(b"kanhu bundle 1\n" + manifest)
    (folder / "manifest.sig").write_text(signature.hex() + "\n")


def plain_of(folder: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return plain


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A signer's mistake in the manifest; install.json follows where it can."""
    plain = plain_of(folder)
    change(plain)
    resign(folder, encode(plain))
    with suppress(KeyError, TypeError, AttributeError):  # the manifest is refused before
        (folder / "install.json").write_bytes(install_json(plain))


def replaced(folder: Path, name: str, data: bytes) -> None:
    """A signer's mistake in a region: the manifest has its hash."""
    (folder / f"{name}.bin").write_bytes(data)

    def change(plain: dict[str, Any]) -> None:
        region(plain, name).update(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    changed(folder, change)


def region(plain: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in plain["regions"] if one["name"] == name)
    return found


def partition(plain: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in plain["partitions"] if one["name"] == name)
    return found


def with_table(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A table that is the same in the manifest and in flash, and wrong."""
    plain = plain_of(folder)
    change(plain)
    data = partitions.encode([partitions.Partition(**one) for one in plain["partitions"]])
    (folder / "partitions.bin").write_bytes(data)
    region(plain, "partitions").update(sha256=hashlib.sha256(data).hexdigest())
    resign(folder, encode(plain))
    (folder / "install.json").write_bytes(install_json(plain))


@pytest.mark.parametrize(
    ("board", "chip"), [("esp32", "esp32"), ("esp32-s3", "esp32s3"), ("esp32-c3", "esp32c3")]
)
def test_what_was_built_is_what_is_loaded(board: str, chip: str) -> None:
    found = loaded(board)
    kind = boards.load(board)
    assert (found.board, found.chip, found.flash_size) == (board, chip, kind.flash_size)
    assert found.partitions == kind.partitions
    assert found.number == release.number(found.version)
    assert found.digest == hashlib.sha256((found.folder / "manifest.json").read_bytes()).hexdigest()
    assert found.signer == public_key()
    assert found.settings == kind.pins.settings()
    places = {one.name: one.offset for one in found.regions}
    assert places == {
        "bootloader": kind.chip.boot_offset, "partitions": 0x8000, "micropython": 0x10000, "vfs": 0x200000
    }  # fmt: skip
    assert partitions.decode(found.region("partitions").data()) == found.partitions
    archive = release.read_archive(found.application.read_bytes(), [public_key()])
    assert set(archive.files) == {path[3:] for path in build_files() if path.startswith("/a/")}


def test_manifest_is_the_contract() -> None:
    """Its form, by a schema that knows nothing of our code."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    number = {"type": "integer", "minimum": 0}

    def record(**fields: Any) -> dict[str, Any]:
        return {
            "type": "object", "properties": fields, "required": list(fields), "additionalProperties": False
        }  # fmt: skip

    text = {"type": "string"}
    schema = record(
        format={"const": 1}, board={"const": "esp32"}, chip={"const": "esp32"}, flash_size={"const": 4 << 20},
        version=text, number=number, micropython=record(version=text, sha256=digest),
        settings=record(buttons={"type": "array"}, pirs={"type": "array"}, lamp=number, buzzer=number),
        partitions={
            "type": "array",
            "items": record(name=text, type=number, subtype=number, offset=number, size=number),
        },
        regions={
            "type": "array",
            "items": record(name=text, file=text, offset=number, size=number, sha256=digest),
        },
        application=record(file=text, size=number, sha256=digest),
    )  # fmt: skip
    data = (bundle("esp32") / "manifest.json").read_bytes()
    Draft202012Validator(schema).validate(json.loads(data))
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    signature = (bundle("esp32") / "manifest.sig").read_text()
    assert re.fullmatch(r"[0-9a-f]{128}\n", signature)
    test_key().public_key().verify(bytes.fromhex(signature), b"kanhu bundle 1\n" + data)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_flipped_bit_anywhere(folder: Path, data: st.DataObject) -> None:
    path = folder / data.draw(st.sampled_from(FILES))
    place = data.draw(st.integers(0, path.stat().st_size * 8 - 1))
    flip(path, place)
    refusal(folder)
    flip(path, place)


def flip(path: Path, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place // 8)
        byte = file.read(1)[0]
        file.seek(place // 8)
        file.write(bytes([byte ^ 1 << place % 8]))


def test_a_flipped_bit_in_the_small_files(folder: Path) -> None:
    chance = random.Random(1)
    for name, step in (("manifest.json", 1), ("manifest.sig", 1), ("install.json", 5)):
        for byte in range(0, (folder / name).stat().st_size, step):
            place = byte * 8 + chance.randrange(8)
            flip(folder / name, place)
            refusal(folder)
            flip(folder / name, place)
    load(folder, [public_key()])


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_cut_longer_or_none(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole[1:], whole + b"\0", whole * 2):
        path.write_bytes(data)
        refusal(folder)
    path.unlink()
    assert refusal(folder) == f"{path} is missing: this is no whole bundle"
    path.mkdir()
    refusal(folder)
    path.rmdir()
    os.mkfifo(path)  # nobody will ever write to it
    refusal(folder)


def test_no_folder(tmp_path: Path) -> None:
    assert "is missing" in refusal(tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refusal(tmp_path / "file")
    assert "is missing" in refusal(tmp_path)


def test_a_file_that_leads_nowhere(folder: Path) -> None:
    (folder / "vfs.bin").unlink()
    (folder / "vfs.bin").symlink_to("vfs.bin")
    assert "vfs.bin: Too many levels" in refusal(folder)


def test_strangers_and_no_keys(folder: Path) -> None:
    for trusted in ([], [STRANGER], [b"", b"x" * 31]):
        with pytest.raises(BundleError, match="not signed by a key that is trusted here"):
            load(folder, trusted)
    assert load(folder, [STRANGER, public_key()]).signer == public_key()


def test_the_manifest_of_another_bundle(folder: Path) -> None:
    """Each part rightly signed, and not together."""
    other = bundle("esp32-c3")
    for name in ("manifest.json", "manifest.sig"):
        shutil.copyfile(other / name, folder / name)
    refusal(folder)


def test_the_application_of_another_release(folder: Path) -> None:
    data = release.make_archive(build_files(), test_key(), "9.9.9")
    (folder / "application.kfw").write_bytes(data)
    assert str(folder / "application.kfw") in refusal(folder)
    changed(
        folder,
        lambda plain: plain["application"].update(size=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )
    assert "application.kfw is release 9.9.9, not" in refusal(folder)


def test_the_application_signed_by_another_key(folder: Path) -> None:
    """Both keys are trusted: still one bundle has one signer."""
    data = release.make_archive(build_files(), Ed25519PrivateKey.from_private_bytes(bytes(32)))
    (folder / "application.kfw").write_bytes(data)
    changed(
        folder,
        lambda plain: plain["application"].update(size=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )
    with pytest.raises(BundleError, match="not signed by a key"):
        load(folder, [public_key(), STRANGER])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: partition(p, "vfs").update(offset=0x1FF000), "factory and vfs overlap at 0x1ff000"),
        (lambda p: partition(p, "vfs").update(size=0x201000), "past the flash's end at 0x400000"),
        (lambda p: partition(p, "factory").update(offset=0x11000), "is unaligned"),
        (lambda p: partition(p, "nvs").update(offset=0x8000), "boot loader or the table"),
        (lambda p: partition(p, "vfs").update(name="files"), "needs a partition vfs"),
        (lambda p: partition(p, "vfs").update(size=0x1000), "region vfs at 0x200000"),
        (lambda p: partition(p, "vfs").update(offset=0x201000, size=0x1FF000), "region vfs at 0x200000"),
        (lambda p: p.update(flash_size=2 << 20), "past the flash's end at 0x200000"),
        (lambda p: p.update(flash_size=8 << 20), "boot loader is made for another size of flash"),
        (lambda p: p["partitions"].pop(0), "needs a partition nvs"),
    ],
)  # fmt: skip
def test_signed_tables_that_brick(folder: Path, change: Callable[[dict[str, Any]], Any], says: str) -> None:
    with_table(folder, change)
    assert says in refusal(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: partition(p, "phy_init").update(size=0), "is unaligned"),
        (lambda p: partition(p, "vfs").update(size=0x1FF000), "table is not the one in its manifest"),
        (lambda p: region(p, "bootloader").update(offset=0), "region bootloader at 0x0"),
        (lambda p: region(p, "partitions").update(offset=0x9000), "region partitions at 0x9000"),
        (lambda p: region(p, "micropython").update(offset=0x20000), "region micropython at 0x20000"),
        (lambda p: region(p, "vfs").update(offset=0x3FF000), "region vfs at 0x3ff000"),
        (lambda p: region(p, "vfs").update(size=0), "region vfs"),
        (lambda p: region(p, "vfs").update(size=0x200001), "region vfs"),
        (lambda p: region(p, "vfs").update(offset=1 << 80), "regions.3.offset"),
        (lambda p: region(p, "vfs").update(offset=-1), "regions.3.offset"),
        (lambda p: region(p, "vfs").update(offset=2097152.0), "regions.3.offset"),
        (lambda p: region(p, "vfs").update(offset="2097152"), "regions.3.offset"),
        (lambda p: region(p, "vfs").update(size=True), "regions.3.size"),
        (lambda p: region(p, "vfs").update(file="../vfs.bin"), "regions.3.file"),
        (lambda p: region(p, "vfs").update(file="/etc/passwd"), "regions.3.file"),
        (lambda p: region(p, "vfs").update(file="..\\vfs.bin"), "regions.3.file"),
        (lambda p: region(p, "vfs").update(file="vfs.bin\n"), "regions.3.file"),
        (lambda p: region(p, "vfs").update(file="partitions.bin"), "one file twice"),
        (lambda p: region(p, "vfs").update(file="manifest.sig"), "one file twice"),
        (lambda p: region(p, "vfs").update(sha256="0" * 63), "regions.3.sha256"),
        (lambda p: region(p, "vfs").update(name="nvs"), "regions.3.name"),
        (lambda p: region(p, "vfs").update(name="micropython"), "each once"),
        (lambda p: region(p, "vfs").pop("sha256"), "regions.3.sha256"),
        (lambda p: region(p, "vfs").update(more=1), "regions.3.more"),
        (lambda p: p["regions"].pop(), "each once"),
        (lambda p: p["regions"].append(p["regions"][0]), "one file twice"),
        (lambda p: p.update(regions={}), "regions"),
        (lambda p: p.update(chip="esp32s3"), "region bootloader at 0x1000"),
        (lambda p: p.update(chip="esp8266"), "which this version does not know"),
        (lambda p: p.update(flash_size=3 << 20), "no board has"),
        (lambda p: p.update(flash_size=10**30), "flash_size"),
        (lambda p: p.update(version="0.1.0-rc1"), "X.Y.Z"),
        (lambda p: p.update(number=7), "not that of its version"),
        (lambda p: p.update(number=10**400), "number"),
        (lambda p: p.update(format=2), "format"),
        (lambda p: p.update(board="../x"), "board"),
        (lambda p: p.update(board=None), "board"),
        (lambda p: p.pop("application"), "application"),
        (lambda p: p.pop("settings"), "settings"),
        (lambda p: p["settings"].update(lamp=64), "settings.lamp"),
        (lambda p: p["settings"].update(buttons=[[0, 1, None]]), "settings.buttons"),
        (lambda p: p.update(date="2026-01-01"), "date"),
    ],
)  # fmt: skip
def test_signed_nonsense(folder: Path, change: Callable[[dict[str, Any]], Any], says: str) -> None:
    changed(folder, change)
    assert says in refusal(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b'{"format":1,"format":1}', b"[" * 60_000, b"1" * 60_000,
     b"NaN", b'"' + b"x" * 60_000 + b'"'],
)  # fmt: skip
def test_a_signed_manifest_that_is_none(folder: Path, data: bytes) -> None:
    resign(folder, data)
    refusal(folder)


def test_a_signed_manifest_in_another_form(folder: Path) -> None:
    plain = plain_of(folder)
    for data in (json.dumps(plain).encode(), encode(plain)[:-1], encode(plain) + b"\n", b" " + encode(plain)):
        resign(folder, data)
        assert "canonical" in refusal(folder)
    resign(folder, b" " * 70_000 + encode(plain))
    assert "larger than it should be" in refusal(folder)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_in_any_place(folder: Path, data: st.DataObject) -> None:
    """Signed, canonical, and with one thing in it that nobody expects: a sentence, or what it was."""
    plain = json.loads((bundle("esp32") / "manifest.json").read_bytes())
    holder: Any = plain
    while True:
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if not isinstance(holder[key], dict | list) or not holder[key] or data.draw(st.booleans()):
            break
        holder = holder[key]
    before = holder[key]
    holder[key] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=6,
        )
    )
    resign(folder, encode(plain))
    said = ""
    try:
        load(folder, [public_key()])
    except BundleError as refused:
        said = str(refused)
    free = (
        "board",
        "lamp",
        "buzzer",
        "buttons",
        "pirs",
        "sha256",
        "version",
        0,
        1,
        2,
    )  # another such value may be as good
    assert "\n" not in said
    assert said or holder[key] == before or key in free


def test_wrong_chip_in_the_images(folder: Path) -> None:
    for name in ("bootloader", "micropython"):
        whole = (bundle("esp32") / f"{name}.bin").read_bytes()
        replaced(folder, name, for_chip(whole, "esp32s3"))
        assert "is for an ESP32-S3, not for an ESP32" in refusal(folder)
        replaced(folder, name, whole[:-40])
        assert "cut short" in refusal(folder)
        replaced(folder, name, whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        assert "damaged" in refusal(folder)
        replaced(folder, name, whole + b"\xff" * 16)
        assert "after its end" in refusal(folder)
        replaced(folder, name, whole)
    load(folder, [public_key()])


def test_a_region_that_is_too_large(folder: Path) -> None:
    replaced(folder, "bootloader", bytes(0x7001))
    assert "region bootloader" in refusal(folder)


def test_changed_after_it_was_loaded(folder: Path) -> None:
    found = load(folder, [public_key()])
    flip(folder / "vfs.bin", 12345)
    with pytest.raises(BundleError, match="is not what was signed"):
        found.region("vfs").data()


def test_what_lies_beside_it_does_not_matter(folder: Path) -> None:
    (folder / "README.txt").write_text("from the office")
    (folder / ".DS_Store").write_bytes(b"\0")
    os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR)
    load(folder, [public_key()])
    os.chmod(folder, 0o700)
