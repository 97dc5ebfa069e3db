"""Faults in any order and overlap: a plan drawn from one seed, what it exercised, what must hold after."""
