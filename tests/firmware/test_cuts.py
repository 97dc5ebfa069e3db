"""A press that the lamp called heard survives a power cut at any moment."""

BODIES = ("cut_cases",)


def test_under_micropython(case, run_case):
    run_case(case)
