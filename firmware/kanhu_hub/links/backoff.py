"""Waiting between attempts: exponential with full jitter, so that hubs do not come back in step."""


class Backoff:
    """next_ms() is anywhere from 0 to a limit that doubles from min_ms to max_ms; rng has getrandbits(n)."""

    def __init__(self, min_ms, max_ms, rng):
        self._min_ms = min_ms
        self._max_ms = max_ms
        self._limit_ms = min_ms
        self._rng = rng

    def next_ms(self):
        """Milliseconds to wait before the next attempt."""
        limit_ms = self._limit_ms
        self._limit_ms = min(2 * limit_ms, self._max_ms)
        return limit_ms * self._rng.getrandbits(10) >> 10

    def reset(self):
        """Begin again at min_ms: call it after a connection that lasted."""
        self._limit_ms = self._min_ms
