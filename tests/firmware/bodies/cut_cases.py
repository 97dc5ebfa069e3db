"""Power cuts at every erase and program of the flash while a person presses."""

from fake_board import Board, Nvs, Time, virtual
from fake_host import HUB, KEY
from outbox_cases import _cut_everywhere

from kanhu_hub import recall
from kanhu_hub.app import App
from kanhu_protocol import kinds as k

FOLDER = ""


def hub(nvs):
    time = Time()
    virtual(time)
    app = App(Board(nvs, time), "/flash/data", lambda *args: [])
    recall.load(app.alarms, app.recorder, app.outbox, app.clock)
    return app


def _presses(app):
    count = 0
    for held in app.outbox.urgent:
        event = app.recorder.read(app.outbox.sealed(held))
        count += event.get(k.COUNT, 1) * (event[k.KIND] == k.CALL)
    for alarm in app.alarms.alarms:
        count += sum(alarm.extra.values())
    return count


def test_counted_presses_leave_exactly_once():
    nvs = Nvs(hub_id=HUB.encode(), key=KEY, generation=1)

    def sent(app):
        for held in app.outbox.urgent:
            held.due[1] = (0, 1)

    def act(progress):
        app = hub(nvs)
        for turn in range(3):
            for device in (1, 1, 2, 1, 3, 2):
                progress.append("pressing")
                progress[-1] = app.emit(k.CALL, {k.DEVICE: device})
            sent(app)
            if turn == 1:  # pressed again before the counted ones have left
                progress.append("pressing")
                progress[-1] = app.emit(k.CALL, {k.DEVICE: 2})
            app.alarms.tick()
            sent(app)

    def check(progress):
        heard = len([one for one in progress if one is True])
        tried = len(progress)
        for _ in range(2):  # what is put right at a start stays so at the next
            presses = _presses(hub(nvs))
            assert heard <= presses <= tried, (progress, presses)
            if "pressing" not in progress and False not in progress:
                assert presses == heard, (progress, presses)

    _cut_everywhere(act, check, 60)


def test_no_press_that_was_called_heard_is_lost():
    nvs = Nvs(hub_id=HUB.encode(), key=KEY, generation=1)

    def act(progress):
        app = hub(nvs)
        for _ in range(6):
            progress.append(app.emit(k.CALL, {k.DEVICE: 1}))
        progress.append(app.emit(k.SMOKE, {k.DEVICE: 2}))

    def check(progress):
        app = hub(nvs)
        presses = smoke = 0
        for held in app.outbox.urgent:
            event = app.recorder.read(app.outbox.sealed(held))
            presses += event.get(k.COUNT, 1) * (event[k.KIND] == k.CALL)
            smoke += event[k.KIND] == k.SMOKE
        calls = [alarm for alarm in app.alarms.alarms if alarm.kind == k.CALL]
        for alarm in calls:
            presses += sum(alarm.extra.values())
            assert alarm.state == k.OPEN
            assert alarm.overdue
        heard = sum(progress[:6])
        assert heard <= presses <= len(progress[:6]) + 1, (progress, presses)
        assert smoke >= sum(progress[6:])
        assert len(calls) == (presses > 0), (progress, presses, len(calls))

    _cut_everywhere(act, check, 30)
