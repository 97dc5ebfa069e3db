"""Ways to a host, all with the same four verbs: open, send(lane, cls, payload), receive, close."""

URGENT = 0  # lane of class P1
BULK = 1  # lane of P2 to P5


class LinkError(OSError):
    """The link or lane is not usable now; args[0] is one word."""
