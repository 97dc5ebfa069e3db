# Runs first on every start of the bench's second board; main.py does the work.
import gc

import micropython

micropython.alloc_emergency_exception_buf(100)  # an interrupt handler that fails can say why
gc.threshold(16384)  # collect early and for short: an edge waits for a collection's end
