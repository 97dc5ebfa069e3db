"""The release that a host has ordered, as /update keeps it over restarts."""

from kanhu_hub import store
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k


class Order:
    """What UPDATE announced: command number, version, bytes and SHA-256 of the archive."""

    def __init__(self, number, release, size, digest):
        self.number = number
        self.release = release
        self.size = size
        self.digest = digest


def root(app):
    """What stands before /a and /update: nothing, on a board."""
    return app.devices.path[: -len("/data/devices")]


def kept(app):
    """The Order of flash, or None."""
    try:
        return Order(*cbor.loads(store.read(root(app) + "/update/order") or b""))
    except (ValueError, TypeError):
        return None


def keep(app, order):
    """Write it; OSError."""
    folder = root(app) + "/update"
    store.make(folder)
    row = [order.number, order.release, order.size, order.digest]
    store.replace(folder + "/order", cbor.dumps(row))


def forget(app):
    """Remove it, then what came of the archive."""
    for name in ("order", "order.tmp", "archive"):
        store.remove(root(app) + "/update/" + name)


def say(app, kind, order, **more):
    """Record an event about an order; detail=, offset=."""
    fields = {k.DETAIL: more.get("detail"), k.OFFSET: more.get("offset")}
    fields[k.FIRMWARE] = order.release if order else "?"
    fields[k.COMMAND] = order.number if order else None
    if fields[k.OFFSET] is not None:
        fields[k.SIZE] = order.size
    return app.recorder.record(kind, fields)[0]


def calm(app):
    """Whether an update may go on: no alarm or pre-alarm stands, and nobody pairs."""
    return not app.alarms.shown() and not app.pairing


def pressing(app):
    """Whether somebody begins to press, or lets go."""
    for button in app.buttons.values():
        begun = button.due or bool(button.wire.value()) == button.pressed
        if begun and not (button.line and button.line.short()):
            return True
    return False


def quiet(app):
    """Whether the hub may restart: nothing stands, RAM alone holds no event, and nobody begins to press."""
    if pressing(app):
        return False
    return calm(app) and not app.outbox.unsaved and not any(held.sealed for held in app.outbox.urgent)
