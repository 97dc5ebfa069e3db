"""The collector under MicroPython, with a scripted radio and virtual time."""

BODIES = ("collector_cases", "collector_attacks")


def test_under_micropython(case, run_case):
    run_case(case)
