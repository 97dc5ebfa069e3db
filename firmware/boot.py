# Runs first on every start; main.py is the hub.
import gc
import sys

import micropython

micropython.alloc_emergency_exception_buf(100)
# Collect early: what lives long then lies together, and large blocks stay free for TLS and the radio.
gc.threshold(8192)
sys.path.insert(0, "/a")

from kanhu_hub.board import RESTING_MS, watchdog  # noqa: E402  after the threshold is set

# Whatever keeps main.py from becoming a hub (a person at the REPL, a file that cannot be imported), the board
# starts again by itself.
watchdog(RESTING_MS)
