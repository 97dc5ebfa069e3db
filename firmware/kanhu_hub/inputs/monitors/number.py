"""Numbers of IEEE 11073-20601, and what an event says of one: its value, or why it has none."""

from kanhu_protocol import kinds as k

# names.SPECIALS
NAN, NRES, POSITIVE_INFINITY, NEGATIVE_INFINITY, OUT_OF_BOUNDS, DEVICE_INVALID = 1, 2, 3, 4, 5, 6

# Five numbers around the least mantissa: +INFINITY, NaN, NRes, reserved, -INFINITY (IEEE 11073-20601).
_SPECIALS = b"\3\1\2\1\4"
_SFLOAT = 0x7FE
_FLOAT = 0x7FFFFE


def sfloat(data, at):
    """(mantissa, exponent) of the 16-bit SFLOAT at data[at], or the number of a special."""
    raw = data[at] | data[at + 1] << 8
    if 0 <= raw - _SFLOAT < 5:
        return _SPECIALS[raw - _SFLOAT]
    return _signed(raw & 0xFFF, 0x800), _signed(raw >> 12, 8)


def float32(data, at):
    """(mantissa, exponent) of the 32-bit FLOAT at data[at], or the number of a special."""
    raw = data[at] | data[at + 1] << 8 | data[at + 2] << 16
    exponent = _signed(data[at + 3], 0x80)
    if not exponent and 0 <= raw - _FLOAT < 5:
        return _SPECIALS[raw - _FLOAT]
    return _signed(raw, 0x800000), exponent


def _signed(raw, half):
    return raw - 2 * half if raw >= half else raw


def put(fields, code, number, low, high, unit=0, invalid=0):
    """Add a quantity to an event's fields: a value in low..high thousandths of its unit, else why not.

    number: (mantissa, exponent) or a special; unit 0: the quantity's own; invalid: a special that the
    monitor's status makes of any value."""
    if isinstance(number, tuple):
        mantissa, exponent = number
        if invalid:
            number = invalid
        elif not low <= _thousandths(mantissa, exponent) <= high:
            number = OUT_OF_BOUNDS
        else:
            value = [code, mantissa, exponent]
            if unit:
                value.append(unit)
            fields.setdefault(k.VALUES, []).append(value)
            return
    fields.setdefault(k.INVALID, []).append([code, number])


def _thousandths(mantissa, exponent):
    # Rounded away from zero: a value just above a bound is above it.
    exponent += 3
    if exponent >= 0:
        return mantissa * 10 ** min(exponent, 9)
    step = 10 ** min(-exponent, 10)
    return (mantissa + step - 1) // step if mantissa > 0 else mantissa // step
