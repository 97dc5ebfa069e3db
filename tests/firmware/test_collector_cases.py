"""The collector under MicroPython, with a scripted radio and virtual time."""

BODIES = ("collector_cases",)


def test_under_micropython(case, run_case):
    run_case(case)
