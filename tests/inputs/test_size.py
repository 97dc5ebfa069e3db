"""What the inputs cost the hub: code is heap there."""

from __future__ import annotations

from kanhu.install.firmware import build_files

LIMIT = 6_300  # bytes of .mpy, of the 40 kB for everything
ONLY_SUPERVISED = "line.mpy"  # loaded for a button whose line is supervised


def test_inputs_fit():
    built = build_files()  # what is copied to a board
    sizes = {path.rpartition("/")[2]: len(data) for path, data in built.items() if "/inputs/" in path}
    print(sizes, sum(sizes.values()))
    assert len(sizes) > 3
    assert ONLY_SUPERVISED in sizes
    assert sum(sizes.values()) - sizes[ONLY_SUPERVISED] <= LIMIT
