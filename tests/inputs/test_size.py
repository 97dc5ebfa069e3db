"""What the inputs cost the hub: code is heap there."""

from __future__ import annotations

from kanhu.install.firmware import build_files

INPUTS = "/a/kanhu_hub/inputs/"
LIMIT = 6_500  # bytes of .mpy, of the 40 kB for everything
# Loaded by homes that need them: a button whose line is supervised, a sensor that encrypts.
ON_DEMAND = {"line": 450, "encrypted": 1_720}
# While a health monitor is connected: its profile, and what all profiles share.
PROFILE = 2_400
PROFILES = ("blood_pressure", "heart_rate", "pulse_oximeter", "thermometer", "weight_scale", "glucose")
SHARED = ("number", "clock", "quirks")


def in_folder(folder: str) -> dict[str, int]:
    """Bytes by module of what is copied to a board."""
    built = {path.removeprefix(folder): data for path, data in build_files().items() if folder in path}
    return {name.removesuffix(".mpy"): len(data) for name, data in built.items() if "/" not in name}


def test_inputs_fit() -> None:
    sizes = in_folder(INPUTS)
    print(sizes, sum(sizes.values()))
    assert len(sizes) > 3
    for name, limit in ON_DEMAND.items():
        assert sizes.pop(name) <= limit
    assert sum(sizes.values()) <= LIMIT


def test_a_monitor_costs_only_its_profile() -> None:
    sizes = in_folder(f"{INPUTS}monitors/")
    shared = sum(sizes.get(name, 0) for name in SHARED)
    for name in PROFILES:
        print(f"{sizes[name] + shared:6} with {name}")
        assert sizes[name] + shared <= PROFILE, name
