"""What the inputs cost the hub: code is heap there."""

from __future__ import annotations

import subprocess

from helpers_micropython import MPY_CROSS, ROOT

LIMIT = 8 * 1024  # bytes of .mpy, of the 40 kB for everything


def test_inputs_fit(tmp_path):
    sizes = {}
    for source in sorted((ROOT / "firmware/kanhu_hub/inputs").glob("*.py")):
        out = tmp_path / "out.mpy"
        # The name given with -s is stored in the file: a long path would be counted, too.
        subprocess.run([MPY_CROSS, "-s", source.name, "-o", out, source], check=True)
        sizes[source.name] = out.stat().st_size
    print(sizes, sum(sizes.values()))
    assert sizes
    assert sum(sizes.values()) <= LIMIT
