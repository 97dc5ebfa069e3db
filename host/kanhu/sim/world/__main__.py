"""python -m kanhu.sim.world: schedules of faults on accelerated time; prints seeds and what was exercised."""

from kanhu.sim.world.cli import main

main()
