"""What the inputs cost the hub: code is heap there."""

from __future__ import annotations

from kanhu.install.firmware import build_files

LIMIT = 6_500  # bytes of .mpy, of the 40 kB for everything
# Loaded by homes that need them: a button whose line is supervised, a sensor that encrypts.
ON_DEMAND = {"line.mpy": 450, "encrypted.mpy": 1_720}


def test_inputs_fit():
    built = build_files()  # what is copied to a board
    sizes = {path.rpartition("/")[2]: len(data) for path, data in built.items() if "/inputs/" in path}
    print(sizes, sum(sizes.values()))
    assert len(sizes) > 3
    for name, limit in ON_DEMAND.items():
        assert sizes.pop(name) <= limit
    assert sum(sizes.values()) <= LIMIT
