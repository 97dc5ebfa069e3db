"""Monitors that do otherwise than their profile: a table, by the begin of what they call themselves."""

BIG_ENDIAN = 1  # pulse and status of a blood pressure measurement
USER_UNSAID = 2  # it holds the user's number although its flag is not set
COARSE_WEIGHT = 4  # steps of 0.05 kg
ONE_HOST = 8  # it keeps to the host that it was paired with first, until it is unpaired there

_BEURER = 3  # BIG_ENDIAN, USER_UNSAID

# Begin of manufacturer, model or advertised name in lower case: bits.
_TABLE = (
    ("bm85", _BEURER),
    ("bm48", _BEURER),
    ("bm59", _BEURER),
    ("elite900", _BEURER),
    ("renpho", COARSE_WEIGHT),
    ("omron", ONE_HOST),
    ("blesmart_", ONE_HOST),  # as Omron's monitors advertise
)


def of(manufacturer, model, name):
    """Bits of a monitor by its Device Information texts and advertised name; each may be None."""
    bits = 0
    for said in (manufacturer, model, name):
        if said:
            said = said.lower()
            for begin, one in _TABLE:
                if said.startswith(begin):
                    bits |= one
    return bits
