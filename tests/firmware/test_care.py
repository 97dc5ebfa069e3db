"""Care at the hub: pre-alarms, suspected falls, the answer that is sent, the daily test call."""

BODIES = ("care_cases", "fall_cases", "proof_cases")


def test_under_micropython(case, run_case):
    run_case(case)
