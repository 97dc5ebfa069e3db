"""vitals: a vital sign outside limits that a person has set. No diagnosis, no limits of our own."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .hours import DAY_MS, HOUR_MS, MINUTE_MS, day_of, moment
from .look import Look, RuleSettings
from .past import Past, Reading
from .values import Evidence, Rule, Verdict, Words
from .wording import join, time_words

ID = "vitals/1"


class Quantity(NamedTuple):
    """A vital sign: its unit, and what no living person has: such a reading is an error of the monitor."""

    words: Words
    unit: str
    least: float
    most: float


# By code of names.QUANTITIES, in its own unit; bounds are ours: wide, to refuse what is no reading at all.
# firmware/kanhu_hub/inputs/monitors/bounds.py has the same for the hub.
QUANTITIES = {
    150021: Quantity(Words("systolic blood pressure", "收缩压"), "mmHg", 30, 350),
    150022: Quantity(Words("diastolic blood pressure", "舒张压"), "mmHg", 10, 250),
    150023: Quantity(Words("mean blood pressure", "平均动脉压"), "mmHg", 20, 300),
    149546: Quantity(Words("pulse", "脉率"), "/min", 15, 300),
    149530: Quantity(Words("pulse (oximeter)", "脉率（血氧仪）"), "/min", 15, 300),
    147842: Quantity(Words("heart rate", "心率"), "/min", 15, 300),
    150456: Quantity(Words("oxygen saturation", "血氧饱和度"), "%", 20, 100),
    150364: Quantity(Words("body temperature", "体温"), "Cel", 20, 46),
    188736: Quantity(Words("weight", "体重"), "kg", 1, 400),
    160184: Quantity(Words("blood glucose", "血糖"), "mmol/L", 0.3, 60),
}
NAMES = {names.QUANTITIES[code][0]: code for code in QUANTITIES}
GLUCOSE = 160184
# Bits of STATUS by which a monitor says that its numbers are not, or not yet, to be relied on.
DOUBTFUL = sum(
    bit
    for bit, name in names.MEASUREMENT_STATUS.items()
    if name
    in (
        "ongoing",
        "early_estimate",
        "demonstration",
        "testing",
        "calibrating",
        "unavailable",
        "questionable",
        "invalid",
    )
)
# One limit for glucose in whatever part of the blood; not of a control solution or of tissue.
_ALIKE = dict.fromkeys((160188, 160192, 160196, 160200, 160204, 160364, 160368), GLUCOSE)
_GLUCOSE_MG_DL = 18.0156  # mg/dL that are 1 mmol/L: 180.156 g/mol
_CONVERT: dict[tuple[str, str], Callable[[float], float]] = {
    ("kPa", "mm[Hg]"): lambda value: value / 0.133322387415,  # BIPM, SI brochure 9, table 8
    ("[degF]", "Cel"): lambda value: (value - 32) / 1.8,
    ("[lb_av]", "kg"): lambda value: value * 0.45359237,
    ("mg/dL", "mmol/L"): lambda value: value / _GLUCOSE_MG_DL,
    ("[in_i]", "m"): lambda value: value * 0.0254,
}


def comparable(code: int, mantissa: int, exponent: int, unit: int | None = None) -> tuple[int, float] | None:
    """An item of VALUES as (code that limits are set for, number in that quantity's own unit); None where
    the unit is none of the quantity's."""
    # By a division 373 x 10^-1 is 37.3, and not above a limit of 37.3.
    number = mantissa * 10.0**exponent if exponent >= 0 else mantissa / 10**-exponent
    if code in names.QUANTITIES:
        own = names.UNITS[names.QUANTITIES[code][1]]
        said = own if unit is None else names.UNITS.get(unit, "")
        if said != own:
            convert = _CONVERT.get((said, own))
            if convert is None:
                return None
            number = convert(number)
    elif unit is not None:
        return None
    return _ALIKE.get(code, code), number


def _quantity(key: str) -> str:
    if key in NAMES or (key.isascii() and key.isdigit() and 0 < int(key) < 2**31):
        return key
    raise ValueError(f"{key}: use a code, or one of {', '.join(NAMES)}")


class Limits(BaseModel):
    """Least and most that is well; either may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = Field(None, allow_inf_nan=False)
    high: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("set low, high or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Settings(RuleSettings):
    """Limits by quantity (a name of NAMES, or a code). None are set until a person sets them."""

    limits: dict[Annotated[str, AfterValidator(_quantity)], Limits] = Field(default_factory=dict)
    confirm: bool = False  # a second reading outside, within confirm_minutes, before it is said
    confirm_minutes: int = Field(30, ge=1, le=1440)
    matters_hours: int = Field(24, ge=1, le=48)  # an older reading says nothing about now


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise while the newest reading of a quantity is outside its limits."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off()
    if stop:
        return stop
    if not settings.limits:
        return look.say("off", Words("nobody has set limits", "尚未设置限值"))
    stop = look.unheard()
    if stop:
        return stop
    span_ms = settings.matters_hours * HOUR_MS
    limits = {NAMES[key] if key in NAMES else int(key): one for key, one in settings.limits.items()}
    newest: dict[int, list[Reading]] = {}
    from_ms = moment(day_of(now_ms - span_ms, past.zone), 0, past.zone) - DAY_MS
    for reading in past.readings(from_ms, now_ms):
        if reading.code in limits and _is_one(reading):
            newest.setdefault(reading.code, []).append(reading)
    outside = []
    newest = {code: one for code, one in newest.items() if one[-1].at_ms > now_ms - span_ms}
    for code, readings in newest.items():
        look.at(readings[-1].at_ms + span_ms)
        midnight_ms = moment(day_of(readings[-1].at_ms, past.zone), 0, past.zone)
        first = _outside(readings, limits[code], settings, midnight_ms)
        if first:
            outside.append((first, readings[-1]))
    if not outside:
        if not newest:
            return look.say("quiet", Words("no readings lately", "近期没有测量"))
        last = max(one[-1] for one in newest.values())
        at = time_words(last.at_ms, now_ms, past.zone)
        words = Words(f"within the limits at {at.en}", f"{at.zh}测量值在限值内")
        return look.say("quiet", words, device=last.device, evidence=[_seen(last)])
    outside.sort()
    first, last = outside[0]
    words = join(_words(one, limits[one.code], now_ms, past) for _, one in outside)
    evidence = [_seen(one) for _, one in outside]
    return look.say("raise", words, first.at_ms, device=last.device, evidence=evidence, reading=last)


def _is_one(reading: Reading) -> bool:
    quantity = QUANTITIES.get(reading.code)
    if quantity is None:
        return math.isfinite(reading.value)
    return math.isfinite(reading.value) and quantity.least <= reading.value <= quantity.most


def _beyond(value: float, limits: Limits) -> bool:
    return (limits.low is not None and value < limits.low) or (
        limits.high is not None and value > limits.high
    )


def _outside(readings: list[Reading], limits: Limits, settings: Settings, midnight_ms: int) -> Reading | None:
    """First reading of the newest one's day in the run outside that it ends, so that a day has one finding;
    None when it is inside, or not confirmed."""
    run: list[Reading] = []
    for reading in reversed(readings):
        if not _beyond(reading.value, limits):
            break
        run.append(reading)
    today = [one for one in run if one.at_ms >= midnight_ms]
    within_ms = settings.confirm_minutes * MINUTE_MS
    confirmed = any(
        newer.at_ms >= midnight_ms and 0 < newer.at_ms - older.at_ms <= within_ms
        for newer, older in pairwise(run)
    )
    return today[-1] if today and (confirmed or not settings.confirm) else None


def _seen(reading: Reading) -> Evidence:
    return Evidence(reading.device, "reading", reading.at_ms)


def _words(reading: Reading, limits: Limits, now_ms: int, past: Past) -> Words:
    quantity = QUANTITIES.get(reading.code)
    name = quantity.words if quantity else Words(f"reading {reading.code}", f"测量值{reading.code}")
    unit = f" {quantity.unit.replace('Cel', '°C')}" if quantity else ""
    at = time_words(reading.at_ms, now_ms, past.zone)
    low = limits.low is not None and reading.value < limits.low
    limit = limits.low if low else limits.high
    value, bound = f"{reading.value:g}{unit}", f"{limit:g}{unit}"
    return Words(
        f"{name.en} {value} at {at.en}, {'below' if low else 'above'} the limit of {bound} that was set",
        f"{at.zh}{name.zh}{value}，{'低于' if low else '高于'}设定限值{bound}",
    )


RULE = Rule(
    "vitals",
    1,
    k.VITALS_OUT_OF_RANGE,
    False,
    Settings,
    evaluate,
    Words("Vital sign outside limits", "体征超出限值"),
    Words(
        "Compares valid readings with the limits that a person has set for this home. "
        "It knows no limits of its own.",
        "将有效测量值与为本户设定的限值比较；系统本身不设任何限值。",
    ),
)
