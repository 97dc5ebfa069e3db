"""The bench's second board, flashed and open; the same on both targets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kanhu.qa import stimulus_image
from kanhu.qa.model import BoardInfo
from kanhu.qa.rig import Options
from kanhu.qa.stimulus import Stimulus


@contextlib.contextmanager
def standing(
    url: str, board: str, options: Options, *, mac: str = "", simulated: bool
) -> Iterator[tuple[Stimulus, BoardInfo]]:
    """Flashed unless --no-flash, proved to run what was flashed, and what the record says of it."""
    image = stimulus_image.build(board, options.micropython)
    chip = image.chip
    if options.flash:
        written = stimulus_image.flash(url, image, mac=mac)
        url = written.port.url
    with Stimulus(url) as stimulus:
        stimulus.prove(image)
        yield (
            stimulus,
            BoardInfo(
                name=stimulus.name,
                role="stimulus",
                chip=chip,
                mac=stimulus.mac,
                port=stimulus.port,
                firmware_version=stimulus.hello.version if stimulus.hello else "",
                firmware_sha256=image.tree,
                micropython=image.micropython,
                flashed=options.flash,
                simulated=simulated,
            ),
        )
