"""Updates at the hub: ordered, fetched, checked, unpacked, tried; and what is refused."""

import os
import sys

import hub_home

from kanhu_hub import slots
from kanhu_hub.app import drop
from kanhu_protocol import kinds as k

FOLDER = ""  # holds what the host's side of the test has signed: *.kfw and `keys`
CHUNK = 900
RARE = ("update", "archive", "ed25519", "order", "slots", "trial", "believed", "commissioning")


def _read(name):
    with open(FOLDER + "/" + name, "rb") as file:
        return file.read()


def _there(path):
    try:
        os.stat(FOLDER + path)
        return True
    except OSError:
        return False


def _wipe(folder):
    if _there(folder):
        for name in os.listdir(FOLDER + folder):
            path = folder + "/" + name
            if os.stat(FOLDER + path)[0] & 0x4000:
                _wipe(path)
            else:
                os.remove(FOLDER + path)
        os.rmdir(FOLDER + folder)


def tree(folder):
    """Path: bytes of all below a folder."""
    found = {}
    for name in os.listdir(FOLDER + folder):
        path = folder + "/" + name
        if os.stat(FOLDER + path)[0] & 0x4000:
            found.update(tree(path))
        else:
            with open(FOLDER + path, "rb") as file:
                found[path] = file.read()
    return found


class Home(hub_home.Home):
    """A hub that a host updates: `feed` answers each update.progress, in whatever manner a case wants."""

    def __init__(self, **config):
        hub_home.FOLDER = FOLDER
        for folder in ("/data", "/update", "/a", "/b"):
            _wipe(folder)
        self.keys = _read("keys")
        self.number = 100
        self.archive = b""
        self.fed = 0  # of the events, those that were answered
        self.feeding = True
        self.manner = lambda chunks: chunks
        settings = {"buttons": [[1, 4, None]], "pirs": [], "proof": 86400}
        settings.update(config)
        super().__init__(config=settings)

    def start(self):
        self.nvs.values["release"] = self.keys
        for name in RARE:  # a restart forgets what is loaded
            drop("kanhu_hub." + name)
        super().start()
        self.fed = 0

    def order(self, name="new.kfw", version="9.0.0", data=None, size=None, digest=None):
        from hashlib import sha256

        self.archive = _read(name) if data is None else data
        self.number += 1
        fields = {
            k.NUMBER: self.number,
            k.RELEASE: version,
            k.RELEASE_SIZE: len(self.archive) if size is None else size,
            k.RELEASE_DIGEST: digest or sha256(self.archive).digest(),
        }
        self.tell(k.UPDATE, fields)
        self.run(300)
        return self.answer_to(self.number)

    def answer_to(self, number):
        """0, or DETAIL of its refusal; None while there is no answer."""
        for _, _, event in self.events(k.COMMAND_DONE) + self.events(k.COMMAND_REFUSED):
            if event[k.COMMAND] == number:
                return event.get(k.DETAIL, 0)
        return None

    def said(self, kind):
        return [event for _, _, event in self.events(kind)]

    def boot_event(self):
        return max([(name, event) for _, name, event in self.events(k.BOOT)])[1]

    def feed(self, seconds=30):
        """Answer what the hub asks for, every quarter of a second, until it has failed."""
        failures = len(self.said(k.UPDATE_FAILED))
        for _ in range(int(seconds * 4)):
            self.run(250)
            self.upto()
            asked = self.said(k.UPDATE_PROGRESS)[self.fed :]
            if asked and self.feeding:
                self.fed += len(asked)
                at = asked[-1][k.OFFSET]
                chunks = []
                for n in range(at, min(at + 4 * CHUNK, len(self.archive)), CHUNK):
                    chunks.append((n, self.archive[n : n + CHUNK]))
                for offset, data in self.manner(chunks):
                    self.tell(k.CHUNK, {k.CHUNK_OFFSET: offset, k.CHUNK_DATA: data})
            elif len(self.said(k.UPDATE_FAILED)) > failures:
                return

    def upto(self):
        """As a host says it, beside the single receipts."""
        seqs = [name[1] for _, _, _, name, _ in self.heard if name[0] == self.host.boot]
        if seqs:
            self.tell(k.STORED, {k.UPTO: [[self.host.boot, max(seqs)]]})

    def feed_to_reset(self, seconds=60):
        try:
            self.feed(seconds)
        except SystemExit:
            return
        raise AssertionError(f"no restart: {self.heard[-3:]}")

    def slots(self):
        return slots.Slots(self.nvs)


def test_a_release_is_fetched_unpacked_and_tried():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    home.feed_to_reset()
    now = home.slots()
    assert (now.good, now.trial, now.why, now.starts) == (1, 2, 0, 0)
    assert home.nvs.values["reset"] == 9
    files = tree("/b")
    manifest = files.pop("/b/manifest")
    assert home.archive.startswith(manifest)
    assert b"".join([files[path] for path in sorted(files)]) == home.archive[len(manifest) :]
    asked = home.said(k.UPDATE_PROGRESS)
    assert [event[k.OFFSET] for event in asked] == list(range(0, len(home.archive), 4 * CHUNK))
    assert all(event[k.SIZE] == len(home.archive) and event[k.COMMAND] == 101 for event in asked)


def _clean(home):
    """Nothing of an update is left, and nothing of the running slot was touched."""
    assert not _there("/update/archive")
    assert not _there("/update/order")
    assert not _there("/b")
    assert not _there("/a")
    assert home.slots().trial == 0
    for name in ("update", "archive", "order", "slots", "ed25519", "trial"):
        assert "kanhu_hub." + name not in sys.modules, name


def _fails(name, detail, version="9.0.0", **announced):
    home = Home()
    home.run(1000)
    assert home.order(name, version, **announced) == 0
    home.feed(200)
    (failed,) = home.said(k.UPDATE_FAILED)
    assert (failed[k.DETAIL], failed[k.FIRMWARE], failed[k.COMMAND]) == (detail, version, 101), failed
    _clean(home)
    home.press()
    assert len(home.events(k.CALL)) == 1
    return home


def test_another_ones_signature():
    _fails("stranger.kfw", 1)


def test_a_hub_without_keys_takes_nothing():
    home = Home()
    for keys in (None, b"", b"short"):
        home.nvs.values["release"] = keys
        home.run(1000)
        assert home.order() == 0
        home.feed()
        assert [event[k.DETAIL] for event in home.said(k.UPDATE_FAILED)][-1] == 1
        _clean(home)


def test_what_was_changed_after_signing():
    whole = _read("new.kfw")
    length = int.from_bytes(whole[4:8], "big")
    # Magic, length, manifest, signature, first and last file: one bit each. The host may announce it so.
    places = [(0, 2), (5, 2), (7, 1), (8 + length // 2, 1), (8 + length + 3, 1), (8 + length + 40, 1)]
    places += [(8 + length + 72, 2), (len(whole) - 1, 2)]
    for at, detail in places:
        data = bytearray(whole)
        data[at] ^= 1
        _fails(None, detail, data=bytes(data))
        data[at] ^= 1


def test_not_what_was_announced():
    data = bytearray(_read("new.kfw"))
    home = _fails(None, 2, data=bytes(data), digest=bytes(32))
    for event in home.said(k.UPDATE_PROGRESS):
        assert event[k.SIZE] == len(data)
    _fails(None, 2, data=bytes(data[:-1]))  # cut short
    _fails(None, 2, data=bytes(data) + b"x")
    _fails("new.kfw", 2, version="9.0.1")  # announced as another


def test_malformed_manifests_under_a_good_signature():
    for name in sorted(os.listdir(FOLDER)):
        if name.startswith("bad_"):
            print(name)
            _fails(name, 7 if "format" in name else 2)
    assert not _there("/main.py")
    assert not _there("/main.mpy")


def test_older_or_the_same_or_no_release():
    home = Home()
    home.run(1000)
    for version, why in (("0.0.9", 8), ("0.1.0", 8), ("1.0", 2), ("1.0.1024", 2), ("1.0.x", 2), ("1..0", 2)):
        assert home.order("old.kfw", version) == why, version
    _clean(home)
    _fails("old.kfw", 2)  # announced as a newer one


def test_too_large():
    _fails(None, 4, data=bytes(100), size=600000)
    from kanhu_hub import store

    free = store.free
    store.free = lambda folder: 110000
    try:
        _fails("new.kfw", 4)
    finally:
        store.free = free


def test_lost_doubled_and_disordered_pieces():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    tricks = (
        lambda chunks: chunks[:1],
        lambda chunks: chunks[-1:] + chunks + chunks,
        lambda chunks: [],
        lambda chunks: [(offset + 1, data) for offset, data in chunks],
        lambda chunks: [(0, data) for offset, data in chunks],
        lambda chunks: chunks + [(chunks[-1][0] + CHUNK, bytes(900))] * 2,
        lambda chunks: [(offset, data[:17]) for offset, data in chunks],
        lambda chunks: chunks[1:],
    )
    turn = [0]

    def manner(chunks):
        turn[0] += 1
        return tricks[turn[0]](chunks) if turn[0] < len(tricks) else chunks

    home.manner = manner
    try:  # noqa: SIM105  MicroPython has no contextlib
        home.feed(600)
    except SystemExit:
        pass
    # What an answer put beyond the archive's own bytes is found by its digest, or the release is there.
    assert home.slots().trial == 2 or home.said(k.UPDATE_FAILED)[0][k.DETAIL] == 2


def test_only_the_next_piece_counts():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    home.manner = lambda chunks: chunks[-1:] + chunks[:2] + chunks[:1] + chunks[1:]
    home.feed_to_reset(100)
    assert home.slots().trial == 2


def test_pieces_that_nobody_asked_for():
    home = Home()
    home.run(1000)
    for offset in (0, 900, 0xFFFFFFFF):
        home.tell(k.CHUNK, {k.CHUNK_OFFSET: offset, k.CHUNK_DATA: bytes(900)})
    home.run(1000)
    assert not _there("/update")
    assert not home.said(k.COMMAND_REFUSED)
    _clean(home)


def test_one_at_a_time_and_given_up():
    home = Home()
    home.run(1000)
    home.feeding = False
    assert home.order() == 0
    assert home.order("new.kfw") == 0  # the same under a newer number
    assert home.order("stranger.kfw") == 9
    assert len(home.said(k.UPDATE_PROGRESS)) == 1
    home.run(1000)
    assert home.order("new.kfw", size=0) == 0
    (failed,) = home.said(k.UPDATE_FAILED)
    assert (failed[k.DETAIL], failed[k.COMMAND]) == (8, 102)
    _clean(home)
    assert home.order("new.kfw", size=0) == 0
    assert len(home.said(k.UPDATE_FAILED)) == 1
    home.feeding = True
    assert home.order() == 0
    home.feed_to_reset()


def test_nothing_while_an_alarm_stands():
    home = Home()
    home.run(1000)
    home.press()
    assert home.order() == 5
    (_, name, _) = home.events(k.CALL)[0]
    home.tell(k.ALARM_IS, {k.NUMBER: 7, k.ALARM_NAME: list(name), k.ALARM_STATE: k.ACCEPTED})
    assert home.order() == 5  # somebody is at it
    home.tell(k.ALARM_IS, {k.NUMBER: 8, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
    assert home.order() == 0


def test_an_alarm_at_any_moment_of_an_update():
    """A press every so often, each moment once: it is a call at once, and the update waits for its end."""
    moment = 0
    ended = False
    while not ended:
        moment += 110
        home = Home()
        home.run(1000)
        assert home.order() == 0
        try:
            home.feed(moment // 250 / 4)
            home.run(moment % 250)
        except SystemExit:
            ended = True
            break
        pressed = home.time.ms - home.began
        home.press()
        (ms, name, _) = home.events(k.CALL)[0]
        assert ms - pressed < 200, ms - pressed
        before = home.fed, os.stat(FOLDER + "/update/archive")[6] if _there("/update/archive") else 0
        trees = tree("/b") if _there("/b") else {}
        home.feed(60)
        assert before[1] == (os.stat(FOLDER + "/update/archive")[6] if _there("/update/archive") else 0)
        assert len(tree("/b") if _there("/b") else {}) - len(trees) <= 1  # the file that was open
        assert home.slots().trial == 0
        home.tell(k.ALARM_IS, {k.NUMBER: 8, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
        home.feed_to_reset(120)
        assert home.slots().trial == 2
    assert moment > 1500


def test_it_waits_until_the_last_call_is_stored():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    home.feed(1)
    home.links[0].up = False
    home.press()
    (name,) = [one.name for one in home.app.alarms.alarms]
    home.app.alarms.person_says(name, k.CLOSED)
    home.archive = _read("new.kfw")
    home.run(120000)
    assert home.app.outbox.urgent
    assert home.slots().trial == 0
    home.links[0].up = True
    home.feed_to_reset(300)
    assert home.events(k.CALL)


def test_a_restart_goes_on_from_what_flash_has():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    restarts = 0
    try:
        while restarts < 20:
            home.feed(0.25 + restarts % 3 / 4)
            home.reboot()
            home.run(500)
            restarts += 1
    except SystemExit:
        pass
    assert restarts > 2
    offsets = [event[k.OFFSET] for event in home.said(k.UPDATE_PROGRESS)]
    assert offsets == sorted(offsets)
    assert offsets[-1] > 0
    assert home.slots().trial == 2


def _on_trial(running="/b", release="0.1.0", **config):
    """A hub that was restarted into its new release, which calls itself as this firmware does."""
    home = Home(**config)
    home.run(1000)
    assert home.order() == 0
    home.feed_to_reset()
    from kanhu_hub import order

    kept = order.kept(home.app)
    kept.release = release
    order.keep(home.app, kept)
    sys.path.insert(0, running)
    home.heard = []
    return home


def _answers(home, seconds, delivers=True):
    for _ in range(seconds):
        home.run(1000)
        tests = [list(name) for _, name, _ in home.events(k.TEST_CALL)]
        if tests and delivers:
            home.tell(k.DELIVERED, {k.SINGLE: tests})


def test_permanent_after_its_own_test_call():
    home = _on_trial()
    home.reboot()
    home.run(1000)
    assert home.boot_event()[k.SLOT] == [2, 1]
    assert home.order() == 9  # busy with itself
    _answers(home, 30)
    assert home.said(k.TEST_CALL)
    assert home.said(k.PATH_PROVEN)
    (done,) = home.said(k.UPDATE_DONE)
    assert (done[k.FIRMWARE], done[k.COMMAND]) == ("0.1.0", 101)
    now = home.slots()
    assert (now.good, now.trial, now.why, now.bad, now.starts) == (2, 0, 0, 0, 0)
    assert not _there("/update/archive")
    assert not _there("/update/order")
    assert _there("/b/manifest")
    home.reboot()
    home.run(310000)
    assert len(home.said(k.UPDATE_DONE)) == 1
    assert not home.said(k.UPDATE_FAILED)
    for name in ("update", "order", "slots", "trial", "believed"):
        assert "kanhu_hub." + name not in sys.modules, name
    # The next one goes into /a.
    assert home.order() == 0
    home.feed_to_reset()
    assert home.slots().trial == 1
    assert _there("/a/manifest")


def test_permanent_where_no_daily_proof_is_wanted():
    home = _on_trial(proof=0)
    home.reboot()
    _answers(home, 30)
    assert home.said(k.UPDATE_DONE)
    assert len(home.events(k.TEST_CALL)) == 1
    home.run(100000)
    assert len(home.events(k.TEST_CALL)) == 1


def test_done_is_said_although_the_power_went_before_it():
    home = _on_trial()
    now = home.slots()
    now.good, now.trial = 2, 0
    now.save()
    home.reboot()
    home.run(1000)
    assert len(home.said(k.UPDATE_DONE)) == 1
    assert not _there("/update/order")


def _gives_up(home, ms):
    home.reboot()
    home.run_to_reset(ms)
    took = home.time.ms - home.began
    now = home.slots()
    assert (now.good, now.trial, now.why, now.bad) == (1, 2, 6, 4), (now.good, now.trial, now.why, now.bad)
    sys.path.remove("/b")
    home.links_up = True
    home.answer = True
    home.reboot()
    home.run(3000)
    (failed,) = home.said(k.UPDATE_FAILED)
    assert (failed[k.DETAIL], failed[k.COMMAND]) == (6, 101)
    now = home.slots()
    assert (now.good, now.trial, now.why) == (1, 0, 0)
    assert not _there("/update/archive")
    assert home.order() == 0
    return took


def test_not_proven_goes_back():
    home = _on_trial(buttons=[])
    took = _gives_up(home, 2400000)  # stored, and never delivered
    assert took >= 1800000
    assert not home.said(k.UPDATE_DONE)


def test_nobody_answers_goes_back():
    home = _on_trial(buttons=[])
    home.answer = False
    assert _gives_up(home, 2400000) >= 1800000


def test_no_link_goes_back():
    home = _on_trial(buttons=[])
    start = home.start

    def without():
        start()
        home.links[0].up = "/b" not in sys.path

    home.start = without
    assert 7200000 <= _gives_up(home, 9000000) <= 7400000


def test_an_alarm_holds_the_way_back():
    home = _on_trial()
    home.reboot()
    home.run(1000)
    home.press()
    home.run(4000000)
    assert home.slots().why == 0
    (_, name, _) = home.events(k.CALL)[0]
    home.tell(k.ALARM_IS, {k.NUMBER: 8, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
    home.run_to_reset(60000)
    assert home.slots().why == 6


def test_one_that_did_not_start():
    home = _on_trial()
    sys.path.remove("/b")
    now = home.slots()  # as boot.py leaves it
    now.why, now.bad, now.starts = 5, 4, 1
    now.save()
    home.reboot()
    home.run(1000)
    (failed,) = home.said(k.UPDATE_FAILED)
    assert failed[k.DETAIL] == 5
    assert k.SLOT not in home.boot_event()
    home.reboot()
    home.run(310000)
    assert len(home.said(k.UPDATE_FAILED)) == 1
    assert home.slots().starts == 0
    assert home.order() == 0
    home.feed_to_reset()


def test_safe_mode_is_said_and_updated_from():
    home = Home()
    home.nvs.values["slot"] = 3 | (2 | 4) << 8
    sys.path.insert(0, "/safe")
    home.reboot()
    home.run(1000)
    assert home.boot_event()[k.SLOT] == [3, 3]
    assert len(home.said(k.SAFE_MODE)) == 1
    home.press()
    assert home.events(k.CALL)
    (_, name, _) = home.events(k.CALL)[0]
    home.tell(k.ALARM_IS, {k.NUMBER: 8, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
    assert home.order() == 0
    home.feed_to_reset()
    assert home.slots().trial == 1
    assert home.slots().bad == 4  # b still is what kept failing
    sys.path[0] = "/a"
    from kanhu_hub import order

    kept = order.kept(home.app)
    kept.release = "0.1.0"
    order.keep(home.app, kept)
    home.reboot()
    assert not home.said(k.SAFE_MODE_ENDED)
    _answers(home, 30)
    assert len(home.said(k.SAFE_MODE_ENDED)) == len(home.said(k.UPDATE_DONE)) == 1
    assert home.slots().good == 1
    assert not _there("/safe")


def test_flash_that_takes_nothing_ends_an_update_and_not_the_hub():
    from kanhu_hub import store

    home = Home()
    home.run(1000)
    append, replace = store.append, store.replace

    def fail(path, data):
        raise OSError(28 if "update" in path else 5)

    store.replace = fail
    try:
        assert home.order() == 3
    finally:
        store.replace = replace
    assert home.order() == 0
    store.append = lambda path, data: fail(path, data) if "update" in path else append(path, data)
    try:
        home.feed(20)
    finally:
        store.append = append
    assert [event[k.DETAIL] for event in home.said(k.UPDATE_FAILED)] == [4]
    _clean(home)


def test_nvs_that_takes_nothing_ends_an_update_and_not_the_hub():
    home = Home()
    home.run(1000)
    assert home.order() == 0
    home.nvs.failing = True
    home.feed(60)
    assert [event[k.DETAIL] for event in home.said(k.UPDATE_FAILED)] == [9]
    home.nvs.failing = False
    assert home.slots().trial == 0
