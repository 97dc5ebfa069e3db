"""bench.toml: what is wrong is said in one sentence that names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from kanhu.qa import bench_file
from kanhu.qa.bench_file import BenchFile, BenchFileError

WIFI = '[wifi]\nname = "lab"\npassword = "a password"\n'
HUB = '[[hub]]\nboard = "esp32"\nport = "/dev/ttyUSB0"\n'


def read(folder: Path, text: str) -> BenchFile:
    path = folder / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return bench_file.load(path)


def test_the_least_file(tmp_path: Path) -> None:
    file = read(tmp_path, WIFI + HUB)
    assert (file.host.address, file.wifi.secret(), file.hub_name(0)) == ("127.0.0.1", "a password", "hub")
    assert file.stimulus is None
    assert file.power.kind == "none"
    assert not file.hub[0].is_simulated


def test_the_whole_file(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        WIFI
        + '[host]\naddress = "192.168.1.10"\n'
        + '[[hub]]\nboard = "esp32-s3"\nmac = "24:0A:C4:00:00:A1"\nname = "kitchen"\n'
        + '[[hub]]\nboard = "esp32"\nport = "rfc2217://127.0.0.1:4477"\n'
        + '[stimulus]\nboard = "esp32"\nusb_serial = "0001"\nsimulated = true\n'
        + '[power]\nkind = "uhubctl"\nlocation = "1-1.4"\nport = 2\n',
    )
    assert [file.hub_name(index) for index in range(2)] == ["kitchen", "hub-2"]
    assert [place.is_simulated for place in file.hub] == [False, True]
    assert file.hub[0].where == "240ac40000a1"
    assert file.stimulus is not None
    assert file.stimulus.is_simulated


def test_a_mac_beside_the_port_says_which_board_it_must_be(tmp_path: Path) -> None:
    (place,) = read(tmp_path, WIFI + HUB + 'mac = "24:0A:C4:00:00:A1"\n').hub
    assert (place.where, place.mac) == ("/dev/ttyUSB0", "240ac40000a1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HUB, "wifi: Field required"),
        (WIFI, "hub: Field required"),
        (WIFI + "hub = []\n", "wifi.hub: Extra inputs are not permitted"),
        (WIFI + '[[hub]]\nboard = "esp99"\nport = "a"\n', "hub.0.board: no board esp99: there are "),
        (WIFI + '[[hub]]\nboard = "esp32"\n', "hub.0: say where it is by port, usb_serial or mac; mac may"),
        (WIFI + HUB + 'usb_serial = "0001"\n', "hub.0: say where it is by port, usb_serial or mac; mac may"),
        (WIFI + '[[hub]]\nboard = "esp32"\nmac = "240ac4"\n', "hub.0.mac: must be 12 hexadecimal digits"),
        (WIFI + HUB + HUB, "/dev/ttyUSB0 stands there twice"),
        (WIFI + HUB + '[power]\nkind = "stimulus"\n', 'power.kind = "stimulus" needs a [stimulus]'),
        (WIFI + HUB + '[power]\nkind = "windmill"\n', "power: Input tag 'windmill' found"),
        (WIFI + HUB + '[power]\nkind = "uhubctl"\nlocation = "1-1"\n', "power.uhubctl.port: Field required"),
        (WIFI + HUB + '[host]\naddress = "desk"\n', "host.address: must be an IPv4 address"),
        (WIFI + HUB + 'speed = "9600"\n', "hub.0.speed: Extra inputs are not permitted"),
        ("[wifi\n", "Expected ']'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BenchFileError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "bench.toml"))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match="No such file"):
        bench_file.load(tmp_path / "nowhere.toml")
    (tmp_path / "big").write_bytes(b"#" * 70_000)
    with pytest.raises(BenchFileError, match="this is no bench"):
        bench_file.load(tmp_path / "big")
    (tmp_path / "latin").write_bytes(b'[wifi]\nname = "caf\xe9"\n')
    with pytest.raises(BenchFileError, match="UTF-8"):
        bench_file.load(tmp_path / "latin")


def test_the_password_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = read(tmp_path, '[wifi]\nname = "lab"\n' + HUB)
    monkeypatch.delenv(bench_file.PASSWORD, raising=False)
    with pytest.raises(BenchFileError, match="KANHU_WIFI_PASSWORD"):
        file.wifi.secret()
    monkeypatch.setenv(bench_file.PASSWORD, "from outside")
    assert file.wifi.secret() == "from outside"
    assert "a password" not in repr(read(tmp_path, WIFI + HUB))
