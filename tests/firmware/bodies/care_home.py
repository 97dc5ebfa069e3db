"""A hub with a cancel key, and what a host tells it."""

import sys

import hub_home

from kanhu_protocol import kinds as k

CANCEL = 6
HOSTS = (1790000000, 12)  # an alarm of the host's own
UTC_MS = 1790000000000


def Home(**config):
    settings = {"cancel": CANCEL, "proof": 0}
    settings.update(config)
    home = hub_home.Home(config=settings)
    home.numbers = 0
    return home


def tell(home, kind, **fields):
    """A command; its number."""
    home.numbers += 1
    again = fields.pop("again", None)
    message = {getattr(k, name): value for name, value in fields.items()}
    message[k.NUMBER] = again or home.numbers
    home.app.down(home.host.down(kind, message))
    home.run(300)
    return message[k.NUMBER]


def ask(home, name=HOSTS, ms=60000, **more):
    return tell(home, k.ASK, ALARM_NAME=list(name), ASK_MS=ms, ASK_KIND=k.INACTIVITY, **more)


def answer(home, name, state):
    tell(home, k.ALARM_IS, ALARM_NAME=list(name), ALARM_STATE=state)


def key(home, ms=200):
    home.board.pins[CANCEL].move(0)
    home.run(ms)
    home.board.pins[CANCEL].move(1)
    home.run(300)


def fall(home, device=5):
    saved = home.app.emit(k.FALL, {k.DEVICE: device, k.BATTERY: 80})
    home.run(300)
    return saved


def said(home, kind):
    return [event for _, _, event in home.events(kind)]


def names(home, kind):
    return [name for _, name, _ in home.events(kind)]


def loaded(name):
    return "kanhu_hub." + name in sys.modules
