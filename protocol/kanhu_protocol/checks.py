"""What a host may believe of an authentic event: which keys hold what events.cddl says. The hub never
imports this."""

from . import kinds as k
from .down import MAX_UTC_MS
from .events import MAX_NUMBER

ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case
ID_LENGTH = 10
MAX_LIST = 16  # items of VALUES, INVALID and LOST
MAX_TEXT = 64  # bytes of UTF-8 of FIRMWARE, OPERATOR and NAME
MAX_WORDS = 400  # bytes of UTF-8 of each language of EXPLANATION
MAX_REASON = 800  # bytes of UTF-8 of REASON: 200 Chinese characters
_U32 = 0xFFFFFFFF


def is_id(value) -> bool:
    """Whether value is a hub_id or daemon id: 10 characters of lower-case Crockford base32."""
    return isinstance(value, str) and len(value) == ID_LENGTH and all(c in ID_ALPHABET for c in value)


def _int(low, high):
    return lambda value: type(value) is int and low <= value <= high


def _list(*checks):
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(checks)
        and all(check(item) for check, item in zip(checks, value))
    )


def _some(check):
    return lambda value: (
        isinstance(value, list) and 0 < len(value) <= MAX_LIST and all(check(item) for item in value)
    )


def _text(limit):
    return lambda value: isinstance(value, str) and 0 < len(value.encode()) <= limit


def _or_null(check):
    return lambda value: value is None or check(value)


def _either(*checks):
    return lambda value: any(check(value) for check in checks)


def _address(value):
    return isinstance(value, bytes) and len(value) in (1, 6)


def _span(value):
    return _list(_int(1, _U32), _u32, _u32)(value) and value[1] <= value[2]


_u32 = _int(0, _U32)
_percent = _int(0, 100)
_dbm = _int(-128, 127)
_HEX = set("0123456789abcdef")
_name = _list(_int(1, _U32), _u32)

_VALUE = (_int(1, _U32), _int(-0x80000000, 0x7FFFFFFF), _int(-128, 127))
_LAST_S = MAX_UTC_MS // 1000

VALID = {
    k.KIND: _int(1, 255),
    k.UP_MS: _int(0, MAX_NUMBER),
    k.UTC_MS: _int(0, MAX_UTC_MS),
    k.CLOCK: _int(1, 255),
    k.DEVICE: _int(1, 255),
    k.FLAGS: _int(1, 0xFFFF),
    k.BATTERY: _percent,
    k.RSSI: _dbm,
    k.ALARM: _name,
    k.COUNT: _int(2, _U32),
    k.ATTEMPT: _int(1, _U32),
    k.SPAN_MS: _int(0, MAX_NUMBER),
    k.VALUES: _some(_either(_list(*_VALUE), _list(*_VALUE, _int(1, 255)))),
    k.DETAIL: _int(0, 0xFFFF),
    k.PREVIOUS: _name,
    k.RESET: _int(0, 255),
    k.HEAP: _list(_u32, _u32),
    k.LINK: _int(0, 255),
    k.OUTBOX: _list(_u32, _u32),
    k.DROPS: _list(_u32, _u32, _u32, _u32, _u32),
    k.RADIO: _list(_percent, _u32),
    k.FIRMWARE: _text(MAX_TEXT),
    k.POWER: _list(_or_null(lambda value: isinstance(value, bool)), _or_null(_percent)),
    k.VERSIONS: _list(_u32, _u32),
    k.DOWNLINK: _list(_u32, _u32),
    k.LOST: _some(_span),
    k.COMMAND: _int(1, _U32),
    k.STATE: _int(1, 255),
    k.SUBJECT: is_id,
    k.OPERATOR: _text(MAX_TEXT),
    k.REASON: _text(MAX_REASON),
    k.REFUSED: _list(_u32, _u32, _u32),
    k.FAULTS: _list(_u32, _u32, _u32),
    k.RULE: _text(MAX_TEXT),
    k.EXPLANATION: _list(_text(MAX_WORDS), _text(MAX_WORDS)),
    k.LEVEL: _int(1, 4),
    k.DUE_MS: _int(0, MAX_UTC_MS),
    k.MODE: _int(1, 255),
    k.MEMBERS: _int(1, _U32),
    k.NEED: _text(MAX_TEXT),
    k.INCIDENT: _text(MAX_TEXT),
    k.STATUS: _int(1, _U32),
    k.USER: _int(0, 255),
    k.MEASURED_S: _int(0, _LAST_S),
    k.CLOCK_OFFSET_S: _int(-_LAST_S, _LAST_S),
    k.INVALID: _some(_list(_int(1, _U32), _int(1, 255))),
    k.ADDRESS: _address,
    k.ROLE: _int(1, 255),
    k.NAME: _text(MAX_TEXT),
    k.ADVERTISED: lambda value: isinstance(value, bytes) and 0 < len(value) <= 31,  # legacy advertising
    k.OFFSET: _u32,
    k.SIZE: _int(1, _U32),
    k.SLOT: _list(_int(1, 3), _int(1, 3)),
    k.INTERVAL_MS: _int(1, _U32),
    k.LEVELS_DBM: _list(_dbm, _dbm, _dbm),
    k.RECORD: lambda value: isinstance(value, str) and len(value) == 64 and set(value) <= _HEX,
    k.VERDICT: _int(1, 255),
}

_SINCE = (k.SPAN_MS,)
_WHY = (k.DETAIL,)
_ABOUT = (k.SUBJECT,)
_ACTED = (k.SUBJECT, k.ALARM, k.OPERATOR)
_FOUND = (k.SUBJECT, k.RULE, k.EXPLANATION)
_FAULT = (k.SUBJECT, k.DETAIL)
_INCIDENT = (k.INCIDENT, k.DETAIL, k.MEMBERS)

# Keys a kind cannot do without. DEVICE, FLAGS and COUNT never count: absent means their default.
REQUIRED = {
    k.CALL_UNANSWERED: (k.ALARM, k.ATTEMPT),
    k.VITALS_OUT_OF_RANGE: (k.VALUES,),
    k.PRE_ALARM: (k.SPAN_MS, k.DETAIL),
    k.PRE_ALARM_CANCELLED: (k.ALARM,),
    k.NO_RETURN: _FOUND,
    k.DOOR_LEFT_OPEN: _FOUND,
    k.MISSED_VISIT: _FOUND,
    k.OVERSTAY: _FOUND,
    k.SENSOR_SILENT: _SINCE,
    k.SENSOR_BACK: _SINCE,
    k.LINK_LOST: _WHY,
    k.LINK_BACK: (k.DETAIL, k.SPAN_MS),
    k.CLOCK_FAULT: _WHY,
    k.STORAGE_FULL: _WHY,
    k.IDENTITY_FAULT: _ABOUT,
    k.IDENTITY_OK: _ABOUT,
    k.LINE_FAULT: _WHY,
    k.CONTACT_STUCK: _SINCE,
    k.CONTACT_RELEASED: _SINCE,
    k.HUB_SILENT: _ABOUT,
    k.HUB_BACK: _ABOUT,
    k.EVENTS_LOST: (k.LOST, k.DETAIL),
    k.COMMAND_REFUSED: (k.COMMAND, k.DETAIL),
    k.SENSOR_DOUBTED: _WHY,
    k.PATH_FAULT: _WHY,
    k.FAULT_OVERDUE: (k.SUBJECT, k.DETAIL, k.DUE_MS),
    k.INCIDENT_OPENED: _INCIDENT,
    k.INCIDENT_CLOSED: _INCIDENT,
    k.SENSOR_UNPROVEN: (k.SUBJECT, k.SPAN_MS),
    k.SENSOR_PROVEN: (k.SUBJECT, k.SPAN_MS),
    k.MONITOR_FAULT: _WHY,
    k.BOOT: (k.RESET, k.FIRMWARE, k.VERSIONS),
    k.COMMAND_DONE: (k.COMMAND,),
    k.CLOCK_SET: (k.UTC_MS, k.CLOCK),
    k.ALARM_ACCEPTED: _ACTED,
    k.ALARM_CLOSED: _ACTED,
    k.ALARM_CORRECTED: _ACTED,
    k.ALARM_REOPENED: (k.SUBJECT, k.ALARM),
    k.ALARM_ESCALATED: (k.SUBJECT, k.ALARM, k.LEVEL),
    k.ALARM_DISPATCHED: _ACTED,
    k.ALARM_ON_SCENE: _ACTED,
    k.ALARM_HANDED_OVER: _ACTED,
    k.REFERRAL: (k.SUBJECT, k.NEED),
    k.MODE_SET: (k.SUBJECT, k.MODE),
    k.PATH_PROVEN: _SINCE,
    k.RULE_HINT: _FOUND,
    k.FAULT_ASSIGNED: (k.SUBJECT, k.DETAIL, k.DUE_MS),
    k.FAULT_CLOSED: _FAULT,
    k.PAIRING_OPENED: _SINCE,
    k.PAIRING_CLOSED: _WHY,
    k.SENSOR_HEARD: (k.ADDRESS,),
    k.UNPAIRED: (k.ADDRESS,),
    k.UPDATE_FAILED: (k.FIRMWARE, k.DETAIL),
    k.UPDATE_PROGRESS: (k.FIRMWARE, k.OFFSET, k.SIZE),
    k.UPDATE_DONE: (k.FIRMWARE,),
    k.SURVEY: _SINCE,
    k.PROVISIONED: _WHY,
    k.INSTALLATION_ACCEPTED: (k.SUBJECT, k.OPERATOR, k.VERDICT, k.RECORD),
    k.HEARTBEAT: (
        k.RESET,
        k.HEAP,
        k.LINK,
        k.OUTBOX,
        k.DROPS,
        k.RADIO,
        k.FIRMWARE,
        k.POWER,
        k.VERSIONS,
        k.REFUSED,
    ),
    k.MOTION_COUNT: _SINCE,
    k.STILL: _SINCE,
    k.VITALS: (k.VALUES,),
    k.VITALS_INVALID: (k.INVALID,),
}


def check(event) -> list:
    """Keys of a decoded event that are wrong (type, range, not a number) or missing for its kind; [] is well.

    UTC_MS and CLOCK come together: where one is wrong or missing, both are named if present. Numbers this
    version does not know are well."""
    bad = []
    for key, value in event.items():
        if not _int(0, 0xFFFF)(key) or (key in VALID and not VALID[key](value)):
            bad.append(key)
    for key, other in ((k.UTC_MS, k.CLOCK), (k.CLOCK, k.UTC_MS)):
        if key in event and key not in bad and (other not in event or other in bad):
            bad.append(key)
    return bad + [key for key in REQUIRED.get(event[k.KIND], ()) if key not in event]
