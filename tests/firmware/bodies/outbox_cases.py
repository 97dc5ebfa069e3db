import os

from kanhu_hub import bulk, records, store
from kanhu_hub.outbox import Outbox

FOLDER = ""


def sealed(seq, size=60):
    return bytes((seq & 255,)) * size


def box(**options):
    return Outbox(FOLDER + "/data", **options)


def names(outbox, cls=5, count=1000):
    return [held.name for held in outbox.take(cls, count, 1 << 20)]


def everything(outbox):
    return sorted([(boot, seq) for _, boot, seq, _ in outbox.events(lambda boot, seq: True)])


def files(folder):
    return sorted(os.listdir(FOLDER + "/data/" + folder))


def test_nothing_yet():
    outbox = box()
    assert outbox.last == (0, 0)
    assert outbox.counts() == [0, 0]


def test_events_come_back_in_order_after_a_restart():
    outbox = box()
    for seq in range(200):
        assert outbox.add(5 if seq % 3 else 4, 7, seq, sealed(seq))
    assert outbox.counts() == [0, 200]
    again = box()
    assert again.counts() == [0, 200]
    assert again.last == (7, 199)
    assert names(again, 4) == [(7, s) for s in range(200) if not s % 3]
    assert names(again, 5) == [(7, s) for s in range(200) if s % 3]
    assert names(again, 5) == []
    again.add(5, 8, 0, sealed(0))
    assert names(again, 5) == [(8, 0)]
    assert [held.sealed for held in again.flight if held.name[1] == 150] == [sealed(150)]


def test_forgotten_only_when_stored():
    outbox = box()
    for seq in range(200):
        outbox.add(5, 1, seq, sealed(seq))
    assert len(names(outbox, 5, 16)) == 16
    outbox.stored([(1, 9)], [])
    assert outbox.counts() == [0, 190]
    assert [held.name[1] for held in outbox.flight] == list(range(10, 16))
    outbox.stored([], [[1, 11, 13], [2, 12]])
    assert [held.name[1] for held in outbox.flight] == [10, 12, 14, 15]
    assert outbox.counts() == [0, 188]
    outbox.stored([(1, 150)], [])  # far beyond what this boot has sent: the rest is skipped, not sent
    assert outbox.flight == []
    assert names(outbox, 5, 3) == [(1, 151), (1, 152), (1, 153)]
    assert outbox.counts() == [0, 49]
    before = len(files("bulk"))
    names(outbox, 5)
    outbox.stored([(1, 199)], [])
    assert outbox.counts() == [0, 0]
    assert before > len(files("bulk")) == 1  # the newest stays
    assert box().last == (1, 199)


def test_receipt_for_another_boot_forgets_nothing():
    outbox = box()
    outbox.add(5, 3, 0, sealed(0))
    outbox.add(1, 3, 1, sealed(1))
    outbox.stored([(2, 100), (4, 100)], [[2, 0, 1]])
    assert outbox.counts() == [1, 1]


def test_urgent_is_a_file_each_and_remembers_the_last_identity():
    outbox = box()
    outbox.add(5, 1, 0, sealed(0))
    outbox.add(1, 1, 1, sealed(1))
    outbox.add(1, 1, 2, sealed(2))
    assert files("urgent") == ["0000000100000001", "0000000100000002"]
    again = box()
    assert [held.name for held in again.urgent] == [(1, 1), (1, 2)]
    assert [again.sealed(held) for held in again.urgent] == [sealed(1), sealed(2)]
    again.stored([], [[1, 1]])
    assert files("urgent") == ["0000000100000002"]
    again.stored([], [[1, 2]])
    assert files("urgent") == []
    assert box().last == (1, 2)  # though no event of it is left
    again.add(5, 2, 0, sealed(0))
    assert box().last == (2, 0)


def test_last_is_never_lower_than_what_a_receipt_took_away():
    outbox = box()
    top = (0, 0)
    for boot in range(1, 5):
        for seq in range(25):
            outbox.add(1 if seq % 4 == 3 else 5, boot, seq, sealed(seq))
            top = (boot, seq)
            outbox.stored([top], [])
            assert outbox.last == top
            assert box().last == top, (top, box().last)


def test_torn_record_is_skipped_and_counted():
    outbox = box(segment_bytes=1024)
    for seq in range(40):
        outbox.add(5, 1, seq, sealed(seq))
    folder = FOLDER + "/data/bulk/"
    newest = folder + files("bulk")[-1]
    with open(newest, "rb") as file:
        raw = file.read()
    with open(newest, "wb") as file:
        file.write(raw[:-7])
    again = box(segment_bytes=1024)
    assert again.bulk.corrupt == 1
    assert everything(again) == [(1, s) for s in range(39)]
    assert again.last == (1, 38)
    again.add(5, 2, 0, sealed(9))  # never behind the tear
    assert everything(box(segment_bytes=1024)) == [(1, s) for s in range(39)] + [(2, 0)]


def test_flipped_bit_costs_one_record():
    outbox = box()
    for seq in range(20):
        outbox.add(5, 1, seq, sealed(seq))
    path = FOLDER + "/data/bulk/" + files("bulk")[0]
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    size = len(raw) // 20
    for at in range(size * 7, size * 8):
        broken = bytearray(raw)
        broken[at] ^= 0x10
        with open(path, "wb") as file:
            file.write(broken)
        again = box()
        assert everything(again) == [(1, s) for s in range(20) if s != 7], at
        assert names(again, 5) == [(1, s) for s in range(20) if s != 7], at
        assert again.bulk.corrupt == 1
    for at in range(size * 7, size * 8):  # while running
        again = box()
        broken = bytearray(raw)
        broken[at] ^= 0x10
        with open(path, "wb") as file:
            file.write(broken)
        again.bulk._loaded = None
        assert names(again, 5) == [(1, s) for s in range(20) if s != 7], at
        with open(path, "wb") as file:
            file.write(raw)


def test_rubbish_files_do_no_harm():
    os.mkdir(FOLDER + "/data")
    for folder in ("urgent", "bulk"):
        os.mkdir(FOLDER + "/data/" + folder)
        for name, data in (
            ("00000009", b""),
            ("00000010", b"\0" * 5000),
            ("x.tmp", b"1"),
            ("0000000100000003", b"12345678"),
        ):
            with open(FOLDER + "/data/" + folder + "/" + name, "wb") as file:
                file.write(data)
    for name in ("boot", "alarms"):
        with open(FOLDER + "/data/" + name, "wb") as file:
            file.write(b"no good")
    outbox = box()
    assert outbox.last == (0, 0)
    assert everything(outbox) == []
    assert outbox.add(5, 1, 0, sealed(0))
    assert outbox.add(1, 1, 1, sealed(1))
    assert everything(box()) == [(1, 0), (1, 1)]


def test_full_outbox_gives_up_p5_first_and_says_exactly_what():
    outbox = box(limit=8192, segment_bytes=1024)
    given = {}
    seq = 0
    lost = set()
    for n in range(400):
        cls = (5, 5, 4, 5, 3)[n % 5]
        if not outbox.make_room(cls):
            outbox.drops[cls - 1] += 1
            continue
        assert outbox.add(cls, 1, seq, sealed(seq))
        given[(1, seq)] = cls
        seq += 1
        for name in outbox.thinned:
            assert name not in lost
            lost.add(name)
        outbox.thinned.clear()
        assert outbox.bulk.bytes <= 8192
        assert outbox.bulk.bytes == sum([os.stat(FOLDER + "/data/bulk/" + f)[6] for f in files("bulk")])
    held = set(everything(outbox))
    assert held | lost == set(given)
    assert not held & lost
    assert outbox.full
    classes = {given[name] for name in lost}
    assert 5 in classes
    # No P4 goes while a P5 could, but for those in the newest segment.
    p5 = [name for name in held if given[name] == 5]
    assert len(p5) <= 1024 // 75 + 1, len(p5)
    assert sum(outbox.drops) == 400 - len(held), outbox.drops
    assert set(everything(box(limit=8192, segment_bytes=1024))) == held


def test_less_important_events_never_displace_more_important_ones():
    outbox = box(limit=4096, segment_bytes=1024)
    seq = 0
    while outbox.make_room(3):
        outbox.add(2, 1, seq, sealed(seq))
        seq += 1
    assert not outbox.thinned
    assert seq > 30
    assert not outbox.make_room(5)
    assert not outbox.make_room(4)
    assert len(everything(outbox)) == seq
    assert outbox.make_room(2)
    assert outbox.thinned[0] == (1, 0)


def test_thinning_spares_what_is_under_way():
    outbox = box(limit=4096, segment_bytes=1024)
    for seq in range(30):
        assert outbox.make_room(5)
        outbox.add(5, 1, seq, sealed(seq))
    under_way = set(names(outbox, 5, 16))
    lost = set()
    for seq in range(30, 120):
        assert outbox.make_room(5)
        outbox.add(5, 1, seq, sealed(seq))
        lost |= set(outbox.thinned)
        outbox.thinned.clear()
        assert not lost & under_way
    held = set(everything(outbox))
    assert under_way <= held
    assert held | lost == {(1, s) for s in range(120)}
    assert not held & lost
    rest = set(names(outbox, 5))
    assert rest | under_way == held
    assert not rest & under_way
    outbox.stored([(1, 119)], [])
    assert outbox.counts() == [0, 0]


def test_thinning_reports_what_left_the_window_unstored():
    outbox = box(limit=20000)
    for seq in range(150):
        assert outbox.make_room(5)
        outbox.add(5, 1, seq, sealed(seq, 80))
    while True:  # a broker takes everything, and no host answers
        taken = outbox.take(5, 16, 1019)
        if not taken:
            break
        for held in taken:
            outbox.park(held)
    outbox.stored([(1, 9)], [])
    for seq in range(150, 450):
        assert outbox.make_room(5)
        outbox.add(5, 1, seq, sealed(seq, 80))
    held = set(everything(outbox))
    lost = set(outbox.thinned)
    assert len(lost) > 100
    assert len(lost) == len(outbox.thinned) == outbox.drops[4]
    assert not lost & held
    assert held | lost == {(1, s) for s in range(10, 450)} | (held & {(1, s) for s in range(10)})
    outbox.rewind()
    assert set(names(outbox)) == held
    outbox.stored([(1, 449)], [])
    assert outbox.counts() == [0, 0]


def test_rewind_takes_again_what_was_parked_and_forgets_only_what_is_stored():
    outbox = box(segment_bytes=1024)
    for seq in range(60):
        outbox.add(5, 1, seq, sealed(seq))
    taken = outbox.take(5, 40, 1 << 20)
    outbox.rewind()
    assert names(outbox, 5, 1) == [(1, 40)]  # nothing was parked
    outbox.park(taken[3])
    outbox.stored([(1, 2)], [[1, 4, 20, 40]])
    outbox.rewind()
    assert names(outbox, 5, 3) == [(1, 3), (1, 4), (1, 5)]
    names(outbox)
    outbox.stored([], [[1, seq] for seq in range(4, 60)])
    assert outbox.counts()[1] > 0
    assert (1, 3) in everything(outbox)
    outbox.stored([], [[1, 3]])
    assert outbox.counts() == [0, 0]


def test_dead_flash_keeps_a_bounded_number_in_ram():
    outbox = box()
    outbox.add(5, 1, 0, sealed(0))
    real = store.append
    replace = store.replace

    def fail(path, data):
        raise OSError(5)

    store.append = store.replace = fail
    try:
        for seq in range(1, 31):
            cls = 5 if seq < 16 else 3
            assert not outbox.add(cls, 1, seq, sealed(seq))
            assert outbox.failing
            outbox.keep_unsaved(cls, 1, seq, sealed(seq))
        assert len(outbox.unsaved) == 16
        assert outbox.drops == [0, 0, 0, 0, 14]
        assert [held.name[1] for held in outbox.unsaved] == list(range(15, 31))
        assert not outbox.add(1, 1, 31, sealed(31))
        outbox.keep_unsaved(1, 1, 31, sealed(31))
        assert outbox.sealed(outbox.urgent[0]) == sealed(31)
        assert outbox.last == (1, 0)
    finally:
        store.append, store.replace = real, replace
    assert names(outbox, 3, 5) == [(1, s) for s in range(16, 21)]
    assert names(outbox, 5) == [(1, 15), (1, 0)]
    outbox.stored([(1, 31)], [])
    assert outbox.counts() == [0, 0]
    assert outbox.add(5, 1, 32, sealed(32))
    assert not outbox.failing


def test_write_that_failed_after_all_bytes_were_there_counts_as_saved():
    outbox = box()
    real = store.append

    def half(path, data):
        real(path, data)
        raise OSError(5)

    store.append = half
    try:
        assert outbox.add(5, 1, 0, sealed(0))
    finally:
        store.append = real
    assert everything(box()) == [(1, 0)]


def test_torn_append_is_never_appended_to():
    outbox = box()
    outbox.add(5, 1, 0, sealed(0))
    real = store.append

    def torn(path, data):
        real(path, data[:20])
        raise OSError(5)

    store.append = torn
    try:
        assert not outbox.add(5, 1, 1, sealed(1))
    finally:
        store.append = real
    assert outbox.add(5, 1, 2, sealed(2))
    assert everything(box()) == [(1, 0), (1, 2)]
    assert names(outbox, 5) == [(1, 0), (1, 2)]


def test_record_round_trip():
    raw = records.pack(3, 0xFFFFFFFF, 7, b"abc")
    assert records.unpack(raw, 0, len(raw)) == (3, 0xFFFFFFFF, 7, b"abc", len(raw))
    for end in range(len(raw)):
        assert records.unpack(raw, 0, end) is None
    assert bulk.SEGMENT <= 4096


def _cut_everywhere(act, check, least=200):
    """Cut the power at every erase and program of act(); check(stage) after each restart."""
    import gc

    import ram_flash

    done = False
    left = 0
    cuts = 0
    while not done:
        flash = ram_flash.RamFlash(256)
        ram_flash.make(flash)
        ram_flash.mount(flash)
        progress = []
        flash.left = left
        act(progress)
        done = not flash.dead
        cuts += flash.dead
        gc.collect()
        ram_flash.umount()
        flash.dead = False
        flash.left = -1
        ram_flash.mount(flash)
        check(progress)
        gc.collect()
        ram_flash.umount()
        left += 1
    print("cuts", cuts)
    assert cuts > least, cuts


def test_power_cut_at_every_flash_operation():
    def act(saved):
        # progress: what was kept, what was stored by the host
        outbox = Outbox("/flash/data", limit=6144, segment_bytes=1024)
        for seq in range(45):
            cls = 1 if seq % 7 == 3 else 5 if seq % 2 else 4
            if cls > 1 and not outbox.make_room(cls):
                continue
            if outbox.add(cls, 1, seq, sealed(seq, 30)):
                saved.append(("kept", (1, seq)))
            else:
                saved.append(("failed", (1, seq)))
            for name in outbox.thinned:
                saved.append(("gone", name))
            outbox.thinned.clear()
            if seq % 10 == 9:
                outbox.take(4, 16, 1000)
                saved.append(("told", (1, seq - 3)))
                outbox.stored([(1, seq - 3)], [])

    def check(saved):
        outbox = Outbox("/flash/data", limit=6144, segment_bytes=1024)
        held = set(everything(outbox))
        kept = {name for what, name in saved if what == "kept"}
        told = max([name for what, name in saved if what == "told"] or [(0, 0)])
        gone = {name for what, name in saved if what == "gone"}
        failed = {name for what, name in saved if what == "failed"}
        must = {name for name in kept if name > told and name not in gone}
        assert must <= held, (must - held, saved[-5:])
        assert held <= kept | failed, held - kept
        top = max(kept) if kept else (0, 0)
        assert top <= outbox.last <= max({top} | failed), (outbox.last, top)
        assert outbox.add(4, 2, 0, sealed(0))
        assert (2, 0) in everything(outbox)

    _cut_everywhere(act, check)
