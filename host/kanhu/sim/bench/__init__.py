"""The bench: hubs, sensors, network and radio of simulated homes, behind a synchronous, thread-safe API."""

from .bench import Bench
from .stand import BenchError, Press

__all__ = ["Bench", "BenchError", "Press"]
