import sys
import time

import machine  # noqa: TID251  works without the hub's own

try:
    from kanhu_hub.app import main
except Exception as error:
    # boot.py counts such starts, and takes another slot in the end.
    sys.print_exception(error)
    time.sleep(3)
    machine.reset()
main()
