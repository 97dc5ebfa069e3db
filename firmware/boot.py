# Runs first on every start; main.py is the hub.
import micropython

micropython.alloc_emergency_exception_buf(100)
