"""Simulated hubs on a bench: the real firmware, with its sensors, network and radio. Needs kanhu[sim]."""

from kanhu.sim.bench import Bench, BenchError, Press
from kanhu.sim.hub import Hub
from kanhu.sim.lamp import Indication
from kanhu.sim.sensors import Advert
from kanhu.sim.wires import Wire

__all__ = ["Advert", "Bench", "BenchError", "Hub", "Indication", "Press", "Wire"]
