"""docs/bench.md and its drawing say what firmware/stimulus/lines.py has."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from kanhu.qa import bench_file
from kanhu.qa.lines import LINES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/bench.md"
AGAIN = "run python scripts/bench_drawing.py"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_drawing", ROOT / "scripts/bench_drawing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table_of_the_firmware(drawing: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert drawing.filled(page) == page, AGAIN
    rows = {
        found[1]: (int(found[2]), found[3])
        for found in re.finditer(r"^\| `(\w+)` \| GPIO (\d+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE)
    }
    assert rows == {
        name: (
            line.gpio,
            "enable of the load switch" if line.hub_gpio is None else f"GPIO {line.hub_gpio}",
        )
        for name, line in LINES.items()
    }


def test_the_drawing_has_each_wire_at_both_ends(drawing: ModuleType) -> None:
    picture = (ROOT / "docs/images/bench.svg").read_text(encoding="utf-8")
    assert drawing.svg() == picture, AGAIN
    words = [text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    for line in LINES.values():
        ends = [line.gpio] if line.hub_gpio is None else [line.gpio, line.hub_gpio]
        for gpio in ends:
            assert any(re.match(rf"GPIO {gpio}\b", str(word)) for word in words), (line.name, gpio)
        assert any(line.name in str(word) for word in words)


def test_the_example_of_a_bench_file_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "bench.toml"
    file.write_text(example, encoding="utf-8")
    found = bench_file.load(file)
    assert found.power.kind == "stimulus"
    assert found.stimulus is not None
    for power in (
        'kind = "uhubctl"\nlocation = "1-1.4"\nport = 2',
        'kind = "relay"\nport = "x"\nchannel = 1',
    ):
        file.write_text(re.sub(r'kind = "stimulus".*', power, example), encoding="utf-8")
        assert bench_file.load(file).power.kind in power
