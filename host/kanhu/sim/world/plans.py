"""Which plan a seed stands for."""

from __future__ import annotations

import random
from dataclasses import replace

from kanhu.sim.faults.plan import DEFAULT_WEIGHTS, Plan, Step

CALM_S = 150.0  # a fault that begins this long after another has ended counts as a pair with it
LONGEST_S = 180.0  # of one fault; a hub's patience (60 s) and a daemon's (300 s at the most) are exceeded
FAVOURITES, OFTEN = 3, 6.0  # each schedule has so many kinds so much more often: these then meet many times
OUTAGE_EVERY_S = 6 * 3600.0  # during a long outage of the platform, something else goes wrong this often
EPISODE_S = 240.0


def of_seed(seed: int) -> tuple[Plan, int]:
    """(plan, number of hubs) of one schedule: some minutes in which 4 to 14 things go wrong."""
    chance = random.Random(f"schedule {seed}")
    hubs = chance.choice((1, 1, 1, 2))
    often = chance.sample(sorted(DEFAULT_WEIGHTS), FAVOURITES)
    plan = Plan.draw(
        seed,
        chance.uniform(60.0, 400.0),
        {name: weight * (OFTEN if name in often else 1) for name, weight in DEFAULT_WEIGHTS.items()},
        hubs=hubs,
        faults=(4, 14),
        fault_s=(1.0, LONGEST_S),
        press_every_s=chance.choice((8.0, 20.0, 45.0)),
        motion_every_s=30.0,
    )
    return plan, hubs


def outage(seed: int, hours: float) -> tuple[Plan, int]:
    """The platform is down for so long; every few hours something else goes wrong as well."""
    weights = {name: weight for name, weight in DEFAULT_WEIGHTS.items() if not name.startswith("platform")}
    end_s = 60.0 + hours * 3600.0
    steps = [Step(60.0, "platform_down"), Step(end_s, "platform_up")]
    begin_s, number = 0.0, 0
    while begin_s < end_s:
        episode = Plan.draw(
            seed + number,
            EPISODE_S,
            weights,
            faults=(1, 4),
            fault_s=(1.0, LONGEST_S),
            press_every_s=60.0,
            motion_every_s=60.0,
        )
        steps += [replace(step, at_s=round(begin_s + step.at_s, 3)) for step in episode.steps]
        begin_s += min(OUTAGE_EVERY_S, max(EPISODE_S, hours * 3600.0 / 4))
        number += 1
    return Plan(seed, tuple(sorted(steps, key=lambda step: step.at_s))), 1
