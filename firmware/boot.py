# Runs first on every start; main.py is the hub.
import gc

import micropython

micropython.alloc_emergency_exception_buf(100)
# Collect early: what lives long then lies together, and large blocks stay free for TLS and the radio.
gc.threshold(8192)
