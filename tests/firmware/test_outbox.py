"""The hub's memory: nothing is lost to a power cut, nothing forgotten before it is stored."""

BODIES = ("outbox_cases",)


def test_under_micropython(case, run_case):
    run_case(case)
