"""The clock of a monitor: Date Time (0x2A08) and Current Time (0x2A2B), as s since 1970 of its local time."""

from kanhu_protocol import kinds as k

_CURRENT_TIME = 0x2A2B
_LAST_S = 253402300799  # the end of the year 9999: what events can carry
_DAYS = b"\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


def date_time(data, at):
    """Seconds since 1970 of the 7 bytes of a Date Time at data[at]; None where it is none, or not known."""
    year = data[at] | data[at + 1] << 8
    month, day, hour, minute, second = data[at + 2 : at + 7]
    if not 1970 <= year <= 9999 or not 0 < month < 13 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 0 < day <= _DAYS[month - 1] + (month == 2 and _leap(year)):
        return None
    return (_days(year, month) + day - 1) * 86400 + hour * 3600 + minute * 60 + second


def stamp(fields, data, at, minutes=0):
    """Put the Date Time at data[at], and minutes more, into an event's fields; nothing where it is none."""
    found = date_time(data, at)
    if found is not None and 0 <= found + minutes * 60 <= _LAST_S:
        fields[k.MEASURED_S] = found + minutes * 60


def decode(data):
    """Seconds since 1970 of either characteristic; ValueError when it does not know the time."""
    if len(data) < 7:
        raise ValueError("short")
    found = date_time(data, 0)
    if found is None:
        raise ValueError("time")
    return found


def encode(number, local_s):
    """What to write to characteristic `number` (0x2A08 or 0x2A2B) at local_s, s since 1970 in local time."""
    days, second = divmod(local_s, 86400)
    year = 1970 + days // 366
    while _days(year + 1, 1) <= days:
        year += 1
    month = 12
    while _days(year, month) > days:
        month -= 1
    day = days - _days(year, month) + 1
    date = bytes((year & 255, year >> 8, month, day, second // 3600, second // 60 % 60, second % 60))
    if number != _CURRENT_TIME:
        return date
    return date + bytes(((days + 3) % 7 + 1, 0, 1))  # Monday is 1; no 1/256 s; adjusted by hand


def _leap(year):
    return not year % 4 and (year % 100 > 0 or not year % 400)


def _days(year, month):
    # From 1970-01-01 to the first of the month.
    before = year - 1
    days = (year - 1970) * 365 + before // 4 - before // 100 + before // 400 - 477
    for one in range(month - 1):
        days += _DAYS[one]
    return days + (month > 2 and _leap(year))
