"""`python helpers_quick_care.py ARGUMENT..`: the kanhu command where what inactivity counts in minutes takes
tenths of a second. All else is as ever."""

from __future__ import annotations

from kanhu.care.rules import inactivity
from kanhu.cli import main

QUICK_MINUTE_MS = 100

if __name__ == "__main__":
    vars(inactivity)["MINUTE_MS"] = QUICK_MINUTE_MS
    main()
