"""Recordings as they come: layouts, moments, states, sensors; every row is accounted for, none is fatal."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu.care.backtest import made_up
from kanhu.care.backtest.moments import Times, read
from kanhu.care.backtest.recording import MOVEMENT, OPEN, Recording
from kanhu.care.backtest.sensors import Place, guess, load
from kanhu.care.backtest.tables import read_file
from kanhu.errors import ConfigError

SHANGHAI, PACIFIC = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/Los_Angeles")
HOUR_MS = 3_600_000


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)


def recording(tmp_path: Path, text: str, zone: ZoneInfo = SHANGHAI, **more: object) -> Recording:
    path = tmp_path / "home.csv"
    path.write_text(text, encoding="utf-8")
    found = read_file(path, zone, **more)  # type: ignore[arg-type]
    assert found.account.balanced
    assert [step.at_ms for step in found.steps] == sorted(step.at_ms for step in found.steps)
    return found


def movements(found: Recording) -> list[tuple[int, str]]:
    names = {device.index: device.name for device in found.devices}
    return [(step.at_ms, names[step.device]) for step in found.steps if step.what == MOVEMENT]


CASAS = """\
2010-11-04 00:03:50.209589 M003 ON Sleeping begin
2010-11-04 00:03:57.399391 M003 OFF
2010-11-04 00:15:08.984841 T002 21.5
2010-11-04 05:40:43.642664\tM007\tON
2010-11-04 05:40:51.303739 M004 ON Sleeping end
2010-11-04 08:11:09.966157 D001 OPEN
2010-11-04 08:11:14.3 D001 CLOSE
"""
ROWS = (("2026-03-02", "07:00:00", "pir_kitchen"), ("2026-03-02", "07:05:00", "pir_hall"))
LAYOUTS = {
    "iso and header": ("time,sensor,state", "{day}T{time}+08:00,{sensor},ON"),
    "semicolons, epoch seconds": ("", "{epoch};{sensor};1"),
    "epoch ms, states first": ("state\tdevice\ttimestamp", "true\t{sensor}\t{epoch}000"),
    "quotes, Home Assistant": ('"entity_id","state","last_changed"', '"{sensor}","on","{utc}.000Z"'),
    "slashes and blanks": ("", "{slashes} {time}   {sensor}  ON"),
    "a spreadsheet's": ("时间,传感器,状态", "{loose},{sensor},1"),
    "date and time apart": ("date,time,sensor,value", "{day},{time},{sensor},OPEN"),
    "byte order mark, Chinese": ("\ufeff时间,传感器,状态", "{day} {time},{sensor},有人"),
    "lines that end as on Windows": ("time,sensor,state\r", "{day} {time},{sensor},ON\r"),
    "every row is a movement of a time span": ("", "{day} {time}|{day} {time}|{sensor}"),
}


def laid_out(header: str, row: str) -> str:
    lines = [header] if header else []
    for day, time, sensor in ROWS:
        moment = datetime.fromisoformat(f"{day}T{time}+08:00")
        utc = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        epoch, slashes = int(moment.timestamp()), day.replace("-", "/")
        loose = f"{moment.year}/{moment.month}/{moment.day} {moment.hour}:{moment.minute:02}"
        lines.append(
            row.format(day=day, time=time, sensor=sensor, utc=utc, epoch=epoch, slashes=slashes, loose=loose)
        )
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    found = recording(tmp_path, laid_out(*LAYOUTS[layout]))
    assert movements(found) == [
        (ms("2026-03-02T07:00"), "pir_kitchen"), (ms("2026-03-02T07:05"), "pir_hall")
    ]  # fmt: skip
    assert {device.name: device.room for device in found.devices} == {
        "pir_kitchen": "kitchen", "pir_hall": "hall"
    }  # fmt: skip


def test_casas(tmp_path: Path) -> None:
    found = recording(tmp_path, CASAS, PACIFIC)
    assert [name for _, name in movements(found)] == ["M003", "M007", "M004"]
    assert found.steps[0].at_ms == ms("2010-11-04T00:03:50.209", PACIFIC)
    assert {device.name: device.role for device in found.devices} == {
        "D001": "door", "M003": "motion", "M004": "motion", "M007": "motion"
    }  # fmt: skip
    assert found.account.ignored == {"measured value, not a state": 1}
    assert sum(step.what == OPEN for step in found.steps) == 1


def test_rows_that_last_from_one_moment_to_another(tmp_path: Path) -> None:
    """As the recordings of Ordonez and others: start, end, where, what kind, room, in a ragged table."""
    found = recording(
        tmp_path,
        "Start time          \tEnd time            \tLocation\tType\t\tPlace\n"
        "--------------------\t--------------------\t--------\t--------\t-----\n"
        "2011-11-28 02:27:59\t2011-11-28 10:18:11\t\tBed\t\tPressure\tBedroom\n"
        "2011-11-28 10:21:24\t\t2011-11-28 10:21:31\tCabinet\t\tMagnetic\tBathroom\n"
        "2011-11-28 10:25:44 \t2011-11-28 10:32:06\t\tShower\t\tPIR\t\tBathroom\n"
        "2011-11-28 13:09:31\t2011-11-28 13:09:35\t\tMaindoor\tMagnetic\tEntrance\n"
        "2011-11-28 13:10:31\t2011-11-28 13:09:35\t\tMaindoor\tMagnetic\tEntrance\n",
    )
    assert {device.name: device.role for device in found.devices} == {
        "Bed Pressure Bedroom": "item", "Cabinet Magnetic Bathroom": "item",
        "Shower PIR Bathroom": "motion", "Maindoor Magnetic Entrance": "door",
    }  # fmt: skip
    bed = [at_ms for at_ms, name in movements(found) if name == "Bed Pressure Bedroom"]
    assert bed == [ms("2011-11-28T02:27:59"), ms("2011-11-28T10:18:11")]  # into bed, and out of it
    assert found.account.wrong == {"ends before it begins": 1, "no moment": 1}


def test_sensors_of_one_name_in_two_rooms_are_two(tmp_path: Path) -> None:
    """As the second home of Ordonez: a PIR beside each door, tabs to line the columns up."""
    text = (
        "Start time          \tEnd time            \tLocation\tType\t\tPlace\n"
        "2026-03-02 07:00:00\t\t2026-03-02 07:00:03\t\tDoor\t\tPIR\t\t\tKitchen\n"
        "2026-03-02 07:05:00\t\t2026-03-02 07:05:03\t\tDoor\t\tPIR\t\t\tLiving\n"
        "2026-03-02 07:06:00\t\t2026-03-02 07:06:09\t\tFridge\t\tMagnetic\tKitchen\n"
    )
    found = recording(tmp_path, text)
    assert {device.name: (device.role, device.room) for device in found.devices} == {
        "Door PIR Kitchen": ("motion", "kitchen"), "Door PIR Living": ("motion", "living room"),
        "Fridge Magnetic Kitchen": ("item", "kitchen"),
    }  # fmt: skip
    # A list may use the name that the rows have, or the whole one.
    listed = {"Fridge": Place("ignore"), "Door PIR Living": Place("item", "hall")}
    found = recording(tmp_path, text, places=listed)
    assert {device.name: (device.role, device.room) for device in found.devices} == {
        "Door PIR Kitchen": ("motion", "kitchen"), "Door PIR Living": ("item", "hall")
    }  # fmt: skip
    assert found.account.sensors >= listed.keys()


def test_a_list_of_sensors_before_the_rows(tmp_path: Path) -> None:
    """As the recordings of van Kasteren: sensors by number, and a list of what the numbers are."""
    found = recording(
        tmp_path,
        "Start time: Time sensor started firing\n\nSensor IDs are: \n"
        "    [ 8]    'Fridge'     \n    [12]    'Frontdoor'  \n    [14]    'ToiletFlush' \n\n"
        "Start time          \tEnd time            \tID\tVal\n"
        "--------------------\t--------------------\t--\t---\n"
        + "".join(
            f"02-Mar-2026 {hour:02}:00:00\t02-Mar-2026 {hour:02}:00:04\t{sensor}\t1\n"
            for hour, sensor in enumerate((8, 12, 14, 8, 8, 12, 14, 8, 12, 14, 8, 8, 14), 7)
        )
        + "Length: 13\n",
    )
    assert {device.name: device.role for device in found.devices} == {
        "Fridge": "item", "Frontdoor": "door", "ToiletFlush": "item"
    }  # fmt: skip
    assert movements(found)[0] == (ms("2026-03-02T07:00"), "Fridge")
    assert found.account.used == 13
    assert found.account.ignored == {"name of a sensor": 3}
    assert found.account.wrong.total() == 5  # headings, the rule under them, the length


def test_wrong_rows_are_counted_and_shown_and_never_stop_it(tmp_path: Path) -> None:
    good = "".join(f"2026-03-02 {hour:02d}:00:00,pir_kitchen,ON\n" for hour in range(24))
    bad = (
        "yesterday,pir_kitchen,ON\n"
        "2026-03-02 07:30:00,pir_kitchen,PURPLE\n"
        "2026-03-02 07:30:00,,ON\n"
        "2026-03-02 07:30:00\n"
        "\x00\xff\n"
        "2026-13-45 99:99:99,pir_kitchen,ON\n"
    )
    found = recording(tmp_path, good + bad + good)
    account = found.account
    assert account.rows == 54
    assert account.wrong == {"no moment": 2, "unknown state": 1, "no sensor": 1, "too few columns": 2}
    assert len(account.shown) == 5
    assert account.shown[0] == "line 25: no moment: yesterday,pir_kitchen,ON"
    assert account.out_of_order == 1  # the second day is the first again
    assert len({step.at_ms for step in found.steps}) == 24


def test_a_row_written_twice_counts_once(tmp_path: Path) -> None:
    row = "2026-03-02 07:00:00,pir_kitchen,ON\n"
    found = recording(tmp_path, row * 3 + "2026-03-02 07:00:00,pir_hall,ON\n" + row)
    assert found.account.ignored == {"repeated": 3}
    assert len(movements(found)) == 2


def test_a_sensor_that_was_gone_is_a_blind_spot(tmp_path: Path) -> None:
    found = recording(
        tmp_path,
        "2026-03-02 07:00:00,pir_kitchen,on\n2026-03-02 08:00:00,pir_kitchen,unavailable\n"
        "2026-03-02 10:00:00,pir_kitchen,off\n2026-03-02 10:01:00,pir_kitchen,on\n",
    )
    past = found.past()
    for step in found.steps:
        found.put(past, step)
    assert [fault.why for fault in past.faults(1, ms("2026-03-02T09:00"))] == ["silent"]
    assert past.faults(1, ms("2026-03-02T10:00")) == []


def test_a_long_gap_is_not_known_and_a_short_one_is_silence(tmp_path: Path) -> None:
    text = (
        "2026-03-02 07:00:00,pir_kitchen,ON\n2026-03-03 06:00:00,temp_kitchen,21.5\n"
        "2026-03-04 12:00:00,pir_kitchen,ON\n"
    )
    found = recording(tmp_path, text)
    past = found.past()
    for step in found.steps:
        found.put(past, step)
    # The first 23 h somebody was still, since another sensor was heard after; then nothing at all was.
    assert past.faults(0, ms("2026-03-02T20:00")) == []
    assert [fault.why for fault in past.faults(0, ms("2026-03-03T20:00"))] == ["lost"]
    assert past.faults(0, ms("2026-03-04T12:00")) == []


def test_columns_said_by_a_person(tmp_path: Path) -> None:
    text = "x;pir_kitchen;2026-03-02;0;07:00:00;AN\ny;pir_kitchen;2026-03-02;1;07:05:00;ON\n"
    found = recording(tmp_path, text, columns="-,sensor,date,-,clock,state")
    assert len(movements(found)) == 1
    assert found.account.wrong == {"unknown state": 1}
    for wrong, why in (
        ("sensor,when", "none of"),
        ("sensor,state", "must name time"),
        ("time,sensor", "no row"),
    ):
        with pytest.raises(ConfigError, match=why):
            recording(tmp_path, text, columns=wrong)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "do not tell"),
        ("hello world\n" * 50, "do not tell"),
        ("2026-03-02 07:00:00,temp,21.5\n" * 9, "do not tell|none of them says"),
        ("time,sensor,state\n2026-03-02 07:00:00,temperature,on\n", "none of them says"),
    ],
)
def test_what_is_no_recording_says_so(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        recording(tmp_path, text)
    with pytest.raises(ConfigError, match="No such file"):
        read_file(tmp_path / "nothing.csv", SHANGHAI)


# Moments


def test_the_hour_that_comes_twice_is_told_by_the_order_and_the_one_left_out_is_counted() -> None:
    times = Times(PACIFIC)
    autumn = [
        times.ms(f"2010-11-07 {text}")
        for text in ("00:59:00", "01:30:00", "01:59:00", "01:10:00", "02:00:00")
    ]
    assert autumn == [
        ms(f"2010-11-07T{text}")
        for text in ("00:59-07:00", "01:30-07:00", "01:59-07:00", "01:10-08:00", "02:00-08:00")
    ]
    assert times.repeated == 1
    spring = [times.ms(f"2011-03-13 {text}") for text in ("01:59:00", "02:30:00", "03:01:00")]
    assert None not in spring
    assert times.skipped == 1


@pytest.mark.parametrize(
    "text",
    ["", "M003", "21.5", "2026-03-02", "07:00:00", "2026-02-30 07:00:00", "1e999", "99999999999999", "-1",
     "0001-01-01 00:00:00", "2026-03-02 07:00:00 ON", "1772406000 x", "nan", "١٧٧٢٤٠٦٠٠٠"],
)  # fmt: skip
def test_what_is_no_moment(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text", ["2026-03-02 7:05:09", "2026/3/2 7:05:09", "2026.3.2 7:05:09", "2026年3月2日7:05:09"]
)
def test_a_moment_without_leading_zeros(text: str) -> None:
    assert Times(SHANGHAI).ms(text) == ms("2026-03-02T07:05:09")
    assert read(text.replace("2026", "20260")) is None
    assert read(text.replace("7:05", "25:05")) is None


@given(st.datetimes(datetime(1991, 1, 1), datetime(2099, 1, 1)))  # noqa: DTZ001  # its zone is the recording's
@settings(max_examples=60, deadline=None)
def test_a_moment_is_the_same_however_it_is_written(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    at_ms = round(moment.replace(tzinfo=UTC).timestamp() * 1000)
    zone = ZoneInfo("UTC")
    for text in (
        moment.isoformat(), moment.isoformat(" "), moment.isoformat() + "Z",
        moment.strftime("%Y/%m/%d %H:%M:%S.%f"),
        moment.replace(tzinfo=UTC).astimezone(SHANGHAI).isoformat(), str(at_ms) if at_ms > 10**11 else "",
    ):  # fmt: skip
        assert not text or Times(zone).ms(text) == at_ms, text


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_recording_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "home.csv"
    good = b"2026-03-02 07:00:00,pir_kitchen,ON\n" * 3
    path.write_bytes(good + junk + b"\n" + good)
    said = ""
    try:
        assert read_file(path, SHANGHAI).account.balanced
    except ConfigError as error:
        said = str(error)
    assert "\n" not in said


# Sensors


@pytest.mark.parametrize(
    ("name", "role", "room"),
    [
        ("M003", "motion", ""), ("MA201", "motion", ""), ("T002", "ignore", ""), ("LS004", "ignore", ""),
        ("D001", "door", ""), ("binary_sensor.front_door", "door", "hall"), ("Maindoor", "door", "hall"),
        ("fridge_door", "item", "kitchen"), ("Bed", "item", "bedroom"), ("Shower", "motion", "bathroom"),
        ("卫生间人体传感器", "motion", "bathroom"), ("厨房温度", "ignore", "kitchen"),
        ("入户门", "door", "hall"), ("motion_living", "motion", "living room"),
        ("bedroom_window", "window", "bedroom"), ("front_door_motion", "motion", "hall"),
        ("Door PIR Bedroom", "motion", "bedroom"), ("hall_motion_battery", "ignore", "hall"),
    ],
)  # fmt: skip
def test_guesses(name: str, role: str, room: str) -> None:
    found = guess(name, {"ON", "OFF"})
    assert (found.role, found.room, found.guessed) == (role, room, True)


def test_a_list_of_sensors_comes_before_guesses(tmp_path: Path) -> None:
    listed = tmp_path / "sensors.csv"
    listed.write_text("sensor,role,room\n# by the installer\nM003,motion,卧室\nM007,ignore\n")
    found = recording(tmp_path, CASAS, PACIFIC, places=load(listed))
    assert [name for _, name in movements(found)] == ["M003", "M004"]
    assert next(device.room for device in found.devices if device.name == "M003") == "卧室"
    listed.write_text("M003,camera\n")
    with pytest.raises(ConfigError, match=r"line 1: role 'camera'.*motion, item"):
        load(listed)
    listed.write_text("\n")
    with pytest.raises(ConfigError, match="no sensors"):
        load(listed)


def test_when_somebody_is_usually_up_is_learned_from_it(tmp_path: Path) -> None:
    days = [f"2026-03-{day:02} {7 + (day == 9)}:05:00,pir_hall,ON\n" for day in range(2, 24)]
    nights = [f"2026-03-{day:02} 03:00:00,pir_hall,ON\n" for day in range(2, 24)]
    habit = recording(tmp_path, "".join(days + nights)).habit()
    assert habit is not None
    assert (habit.days, habit.usual_min) == (21, 7 * 60 + 15)  # by the quarter of an hour; not the last day
    assert recording(tmp_path, "".join(days[:9])).habit() is None


# Made up


def test_what_is_made_up_says_so_and_is_the_same_for_one_seed(tmp_path: Path) -> None:
    first = datetime(2026, 3, 2, tzinfo=SHANGHAI).date()
    text = "".join(made_up.write(5, 7, SHANGHAI, first))
    assert text == "".join(made_up.write(5, 7, SHANGHAI, first))
    assert text != "".join(made_up.write(5, 8, SHANGHAI, first))
    found = recording(tmp_path, text)
    assert found.made_up
    assert not found.account.wrong
    assert 4.5 < found.days < 5.5
    shuffled = text.splitlines(keepends=True)
    random.Random(1).shuffle(shuffled)
    again = recording(tmp_path, "".join(shuffled))
    assert set(movements(again)) == set(movements(found))
