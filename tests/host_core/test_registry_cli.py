"""The command `kanhu registry`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from helpers_registry import HUB, MAC, run
from kanhu.registry import Registry


def test_settings_by_hand(tmp_path: Path) -> None:
    home = Registry.open(tmp_path).add_home()
    run(tmp_path, "hub", "add", home, "--id", HUB)

    def settings(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path, "hub", "settings", HUB, *words, **more)

    assert settings().stdout.startswith("no settings beside the defaults")
    assert "version 2" in settings("buttons=[[1,4,5],[7,6,null]]", "heartbeat=60").stdout
    assert settings().stdout == "buttons=[[1, 4, 5], [7, 6, null]]\nheartbeat=60\n"
    assert settings("heartbeat=").returncode == 0
    assert json.loads(settings("--json").stdout) == {"buttons": [[1, 4, 5], [7, 6, None]]}
    assert settings("--file", "-", given='{"pirs": [[2, 12]], "lamp": 21}').returncode == 0
    assert json.loads(settings("--json").stdout) == {"pirs": [[2, 12]], "lamp": 21}
    assert "lamp=21" in run(tmp_path, "hub", "show", HUB).stdout
    whole = settings("--json").stdout
    for words, text, line in (
        (["lamp"], "", "'lamp': write KEY=VALUE with KEY one of links, ntp"),
        (["wifi=1"], "", "'wifi=1': write KEY=VALUE"),
        (["lamp=two"], "", "setting lamp: must be a pin number, 0 to 48"),
        (["lamp=49"], "", "setting lamp: must be a pin number, 0 to 48"),
        (["lamp=12"], "", "settings: pin 12 is taken twice"),
        (["buzzer=4"], "", "settings: pin 4 is taken twice"),
        (["buttons=[[1,4]]"], "", "setting buttons: must be a list of [device, pin, "),
        (["buttons=[[1,-4,null]]"], "", "setting buttons: must be a list of [device, pin, "),
        (["--file", "-"], "[1]", "settings: must be a JSON object"),
        (["--file", "-"], "{", "-: not JSON: "),
        (["--file", "/nowhere"], "", "/nowhere: No such file"),
    ):
        done = settings(*words, given=text)
        assert done.returncode == 1
        assert line in done.stderr
        assert done.stderr.count("\n") == 1
    assert settings("--json").stdout == whole


def test_the_commands_of_a_first_evening(tmp_path: Path) -> None:
    home = json.loads(run(tmp_path, "home", "add", "--region", "cn/42", "--name", "王", "--json").stdout)[
        "home"
    ]
    assert home in run(tmp_path, "home", "list").stdout
    added = run(tmp_path, "hub", "add", home, "--id", HUB)
    assert added.stdout == f"hub {HUB} added to home {home}\n"
    assert json.loads(run(tmp_path, "sensor", "add", HUB, "motion", MAC, "--json").stdout) == {
        "hub": HUB,
        "index": 3,
    }
    shown = run(tmp_path, "sensor", "list", HUB).stdout
    assert MAC in shown
    hub = json.loads(run(tmp_path, "hub", "show", HUB, "--json").stdout)
    assert hub["sensors"][0]["address"] == MAC
    assert json.loads(run(tmp_path, "home", "show", home, "--json").stdout)["hubs"][0]["hub"] == HUB
    assert run(tmp_path, "sensor", "remove", HUB, "3").returncode == 0
    assert "no sensors yet" in run(tmp_path, "sensor", "list", HUB).stdout
    assert HUB in run(tmp_path, "hub", "list").stdout
    wrong = run(tmp_path, "sensor", "add", HUB, "motion", "A4:C1")
    assert wrong.returncode != 0
    assert wrong.stderr.strip().count("\n") == 0
    assert "six bytes as printed" in wrong.stderr
    key = Registry.open(tmp_path).keys(HUB)[1]
    everything = "".join(
        run(tmp_path, *args).stdout
        for args in (
            ["hub", "show", HUB],
            ["hub", "show", HUB, "--json"],
            ["hub", "list", "--json"],
            ["home", "show", home],
        )
    )
    assert key.hex() not in everything
    assert run(tmp_path, "hub", "revoke", HUB).returncode == 0
    assert Registry.open(tmp_path).keys(HUB) == {}
