"""Event kinds and keys: numbers only, so that the hub pays little heap; names.py holds their names.

The kind's range implies its class, so a host relays a kind it does not know. Numbers are never reused."""

# P1 life: 1..31
CALL = 1
CALL_UNANSWERED = 2  # the hub says again that nobody has accepted
FALL = 3
SMOKE = 4
GAS = 5
CARBON_MONOXIDE = 6
TEST_CALL = 7  # the daily proof of the path: travels as a call does, and is no alarm
# P2 welfare: 32..63
INACTIVITY = 32
VITALS_OUT_OF_RANGE = 33
WATER_LEAK = 34
WANDERING = 35
PRE_ALARM = 36  # something may be wrong: the elder is asked first, for SPAN_MS
PRE_ALARM_CANCELLED = 37  # and has said that all is well
NO_RETURN = 38  # raised by the host, as are the next three and INACTIVITY
DOOR_LEFT_OPEN = 39
MISSED_VISIT = 40
OVERSTAY = 41
# P3 technical: 64..127, each fault (even) paired with its restoral (odd)
MAINS_LOST = 64
MAINS_BACK = 65
BATTERY_LOW = 66
BATTERY_OK = 67
SENSOR_SILENT = 68
SENSOR_BACK = 69
TAMPER = 70
TAMPER_RESTORED = 71
LINK_LOST = 72
LINK_BACK = 73
CLOCK_FAULT = 74
CLOCK_OK = 75
STORAGE_FULL = 76
STORAGE_OK = 77
IDENTITY_FAULT = 78  # raised by the host
IDENTITY_OK = 79
LINE_FAULT = 80  # supervised wire open or short, see key DETAIL
LINE_OK = 81
CONTACT_STUCK = 82
CONTACT_RELEASED = 83
HUB_SILENT = 84  # raised by the host
HUB_BACK = 85
EVENTS_LOST = 86  # thinned or no longer held: see key LOST
COMMAND_REFUSED = 88
SENSOR_DOUBTED = 90  # its message was not, or not wholly, believed: see key DETAIL
PATH_FAULT = 92  # the daily test call did not come through: see key DETAIL
PATH_OK = 93
FAULT_OVERDUE = 94  # raised by the host, as are those up to 99: nobody has mended a fault by its deadline
INCIDENT_OPENED = 96  # many faults with one cause
INCIDENT_CLOSED = 97
SENSOR_UNPROVEN = 98  # it is heard, but nothing shows that it still sees
SENSOR_PROVEN = 99
MONITOR_FAULT = 100  # a health monitor that is here gives nothing: see key DETAIL
MONITOR_OK = 101
UPDATE_FAILED = 102  # a release was refused, or gave up and the one before runs again: see key DETAIL
SAFE_MODE = 104  # no installed release starts: the one of the factory runs
SAFE_MODE_ENDED = 105
# P4 service: 128..191
BOOT = 128  # the first event of every boot, seq 0
COMMAND_DONE = 129
CLOCK_SET = 130
TEST_PRESS = 131
PAIRED = 132
CHECK_IN = 133
AWAY = 134
HOME = 135
WALK_TEST = 136
SERVICE_REQUEST = 137
ALARM_ACCEPTED = 138  # raised by the host, as are the next two and 149
ALARM_CLOSED = 139
ALARM_CORRECTED = 140
SMOKE_CLEAR = 141
GAS_CLEAR = 142
CARBON_MONOXIDE_CLEAR = 143
WATER_LEAK_CLEAR = 144
DOOR_OPEN = 145
DOOR_CLOSED = 146
WINDOW_OPEN = 147
WINDOW_CLOSED = 148
ALARM_REOPENED = 149  # raised by the host: a press after the answer needs one of its own
ALARM_ESCALATED = 150  # raised by the host, as are those up to 152 and 158, 159
ALARM_DISPATCHED = 151
ALARM_ON_SCENE = 152
CHECK_OUT = 153
REFERRAL = 154  # raised by the host: a need, for the service platform
MODE_SET = 155  # raised by the host: home, away, hospital, visitor, sleep
PATH_PROVEN = 156  # the daily test call came through all receipts of machines, in SPAN_MS
RULE_HINT = 157  # raised by the host: what a rule finds worth a look, no alarm
ALARM_HANDED_OVER = 158
FAULT_ASSIGNED = 159  # a fault has an owner and a deadline
FAULT_CLOSED = 160  # raised by the host: and is mended, or a person says why not
PAIRING_OPENED = 161  # for SPAN_MS the hub tells of every sensor it hears
PAIRING_CLOSED = 162  # see key DETAIL
SENSOR_HEARD = 163  # while pairing is open: one that is not, or is, this home's
UNPAIRED = 164
UPDATE_PROGRESS = 165  # of the release FIRMWARE the hub holds OFFSET of SIZE bytes, and wants the next
UPDATE_DONE = 166  # a release has proven its path and stays
SURVEY = 167  # how one paired sensor was heard during a survey
PROVISIONED = 168  # new network settings are in force: see key DETAIL
INSTALLATION_ACCEPTED = 169  # raised by the host: somebody has checked a home, and signs for what was found
# P5 information: 192..255
HEARTBEAT = 192
MOTION = 193  # motion began after stillness
MOTION_COUNT = 194
STILL = 195
VITALS = 196
VITALS_INVALID = 197  # a monitor measured, and says itself that there is no reading

# Keys of an event map. One meaning each, for all kinds.
KIND = 0
UP_MS = 1  # ms since boot
UTC_MS = 2  # ms since 1970, only when the clock was synchronised at that moment
CLOCK = 3  # source of UTC_MS: 1 SNTP, 2 host, 3 modem
DEVICE = 4  # index in the hub's device table; absent = the hub itself
FLAGS = 5  # bits; absent = 0
BATTERY = 6  # percent
RSSI = 7  # dBm
ALARM = 8  # [boot, seq] of the alarm's first event
COUNT = 9  # presses or movements in this event; absent = 1
ATTEMPT = 10
SPAN_MS = 11  # the stretch of time, ending at UP_MS, that the event speaks of
VALUES = 12  # [[code, value, exponent, unit?], ...]: value x 10^exponent; names.QUANTITIES, names.UNITS
DETAIL = 13  # number, see names.DETAILS
PREVIOUS = 14  # [boot, seq]: the last identity persisted before this boot
RESET = 15  # reset cause, see names.RESETS
HEAP = 16  # [free, largest free block] bytes
LINK = 17  # number of the link in use: 1 MQTT, 2 serial, 3 BLE
OUTBOX = 18  # [urgent, bulk] events not yet stored
DROPS = 19  # [P1..P5] dropped since boot
RADIO = 20  # [scan duty percent, advertisements heard since the last heartbeat]
FIRMWARE = 21  # version text
POWER = 22  # [mains present, hub battery percent or null]
VERSIONS = 23  # [config, device table]
DOWNLINK = 24  # [epoch, counter] last opened
LOST = 25  # [[boot, first seq, last seq], ...]
COMMAND = 26  # number of the command this confirms
STATE = 27  # number, see names.STATES
SUBJECT = 28  # hub_id a host's event is about
OPERATOR = 29  # pseudonymous id of the person who acted (host's events)
REASON = 30  # text code, e.g. of closing
REFUSED = 31  # [forged, replayed, malformed] down messages since boot
FAULTS = 32  # [task crashes, radio overflows, damaged files] since boot; absent while all are 0
RULE = 33  # name and version of the rule that speaks: "inactivity/1"
EXPLANATION = 34  # [English, Chinese]: why, in words a family understands
LEVEL = 35  # 1 community, 2 street, 3 district, 4 city
DUE_MS = 36  # UTC ms since 1970: by when
MODE = 37  # number, see names.MODES
MEMBERS = 38  # hubs in an incident
NEED = 39  # text code of what a referral asks for
INCIDENT = 40  # text id
STATUS = 41  # bits of a measurement, see names.MEASUREMENT_STATUS
USER = 42  # the monitor's number of its wearer
MEASURED_S = 43  # the monitor's own clock: seconds since 1970 as if its local time were UTC
CLOCK_OFFSET_S = 44  # that clock ahead of the hub's when they met, before it was set
INVALID = 45  # [[code, special], ...]: see names.SPECIALS
ADDRESS = 46  # of a sensor: 6 bytes as printed, or the pin in 1
ROLE = 47  # number, see names.ROLES
NAME = 48  # text that a sensor advertises
ADVERTISED = 49  # BTHome service data of one that encrypts: the host tries its key on it
OFFSET = 50  # bytes of a release that the hub holds
SIZE = 51  # bytes in all
SLOT = 52  # [running, permanent]: 1 a, 2 b, 3 safe; absent: [1, 1]
INTERVAL_MS = 53  # the usual time between two advertisements of a sensor, as it was heard
LEVELS_DBM = 54  # [weakest, median, strongest] RSSI of a survey
RECORD = 55  # SHA-256 of a signed record, hexadecimal
VERDICT = 56  # number, see names.VERDICTS

# Flags
TEST = 1
HISTORICAL = 2
UNVERIFIED = 4
NOT_SAVED = 8  # reserved: no longer sent

P1, P2, P3, P4, P5 = 1, 2, 3, 4, 5


def class_of(kind):
    """Class 1..5 of a kind 1..255; ValueError for any other number."""
    if not 0 < kind < 256:
        raise ValueError("kind")
    return 1 if kind < 32 else 2 if kind < 64 else 3 if kind < 128 else 4 if kind < 192 else 5


# Down messages: key TYPE says which; "stored" and "delivered" are receipts, the others commands.
TYPE = 0
UPTO = 1  # [[boot, seq], ...]: everything up to and including seq
SINGLE = 2  # [[boot, seq, ...], ...]
NUMBER = 3  # the command's number, echoed in COMMAND_DONE
ALARM_NAME = 4  # [boot, seq]
ALARM_STATE = 5  # as STATE
TIME_MS = 6  # UTC, ms since 1970
RANGES = 7  # [[boot, first, last], ...]
VERSION_OF = 8
TABLE = 9  # device table: [[index, role, address, supervision seconds, bind key?], ...]
ASK_MS = 10  # how long the elder is asked before it is an alarm
ASK_KIND = 11  # the kind of event that follows when nobody cancels
PAIR_MS = 12  # how long pairing is open; 0 closes it
ZONE_S = 13  # the home's local time ahead of UTC, s
PROVE = 14  # device: its next press is a test
RELEASE = 15  # version text of a release
RELEASE_SIZE = 16  # bytes of its archive; 0: give the update up
RELEASE_DIGEST = 17  # SHA-256 of its archive, 32 bytes
CHUNK_OFFSET = 18
CHUNK_DATA = 19
SURVEY_MS = 20  # how long a survey lasts

STORED = 1
DELIVERED = 2
ALARM_IS = 3
TIME = 4
REQUEST_MISSING = 5
PING = 6
DEVICES = 7
ASK = 8  # pre-alarm in the home
PAIR = 9
UPDATE = 10  # fetch a release and try it
CHUNK = 11  # a piece of it; not confirmed, has no NUMBER
SURVEY_FOR = 12  # count what is heard of each paired sensor

# States of an alarm, in ALARM_IS and STATE
OPEN = 1
ACCEPTED = 4
DISPATCHED = 5  # somebody is on the way
ON_SCENE = 6
CLOSED = 7
PRE = 8  # pre-alarm: the elder is being asked
