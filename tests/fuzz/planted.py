"""Targets with a planted fault, to show that the fuzzer finds it."""

from __future__ import annotations

from protocol_targets import Run


def crash() -> Run:
    """Finds its IndexError only by following what is reached."""
    import planted_faults

    return lambda data: (planted_faults.crash(data), None)[1]


def growth() -> Run:
    """Keeps every input."""
    import planted_faults

    return planted_faults.keep


def peak() -> Run:
    """Takes 64 KiB times the first byte."""
    import planted_faults

    return lambda data: (planted_faults.grow(data), None)[1]
