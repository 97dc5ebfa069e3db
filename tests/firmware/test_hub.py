"""The whole hub on a fake board with virtual time: alarms, delivery, faults, commands, supervision."""

BODIES = ("hub_cases", "delivery_cases", "upkeep_cases")


def test_under_micropython(case, run_case):
    run_case(case)
