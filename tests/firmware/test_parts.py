"""Single rooms of the hub under MicroPython: serial link, clock, config, files, heap."""

BODIES = ("part_cases",)


def test_under_micropython(case, run_case):
    run_case(case)
