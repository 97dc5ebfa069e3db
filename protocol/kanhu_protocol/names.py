"""Names of the numbers in kinds.py, for hosts and for people; the hub never imports this."""

from . import kinds as k

KINDS = {
    k.CALL: "call",
    k.CALL_UNANSWERED: "call.unanswered",
    k.FALL: "fall",
    k.SMOKE: "smoke",
    k.GAS: "gas",
    k.CARBON_MONOXIDE: "carbon_monoxide",
    k.TEST_CALL: "test_call",
    k.INACTIVITY: "inactivity",
    k.VITALS_OUT_OF_RANGE: "vitals.out_of_range",
    k.WATER_LEAK: "water_leak",
    k.WANDERING: "wandering",
    k.PRE_ALARM: "pre_alarm",
    k.PRE_ALARM_CANCELLED: "pre_alarm.cancelled",
    k.NO_RETURN: "no_return",
    k.DOOR_LEFT_OPEN: "door.left_open",
    k.MISSED_VISIT: "missed_visit",
    k.OVERSTAY: "overstay",
    k.MAINS_LOST: "mains.lost",
    k.MAINS_BACK: "mains.back",
    k.BATTERY_LOW: "battery.low",
    k.BATTERY_OK: "battery.ok",
    k.SENSOR_SILENT: "sensor.silent",
    k.SENSOR_BACK: "sensor.back",
    k.TAMPER: "tamper",
    k.TAMPER_RESTORED: "tamper.restored",
    k.LINK_LOST: "link.lost",
    k.LINK_BACK: "link.back",
    k.CLOCK_FAULT: "clock.fault",
    k.CLOCK_OK: "clock.ok",
    k.STORAGE_FULL: "storage.full",
    k.STORAGE_OK: "storage.ok",
    k.IDENTITY_FAULT: "identity.fault",
    k.IDENTITY_OK: "identity.ok",
    k.LINE_FAULT: "line.fault",
    k.LINE_OK: "line.ok",
    k.CONTACT_STUCK: "contact.stuck",
    k.CONTACT_RELEASED: "contact.released",
    k.HUB_SILENT: "hub.silent",
    k.HUB_BACK: "hub.back",
    k.EVENTS_LOST: "events.lost",
    k.COMMAND_REFUSED: "command.refused",
    k.SENSOR_DOUBTED: "sensor.doubted",
    k.PATH_FAULT: "path.fault",
    k.PATH_OK: "path.ok",
    k.FAULT_OVERDUE: "fault.overdue",
    k.INCIDENT_OPENED: "incident.opened",
    k.INCIDENT_CLOSED: "incident.closed",
    k.SENSOR_UNPROVEN: "sensor.unproven",
    k.SENSOR_PROVEN: "sensor.proven",
    k.MONITOR_FAULT: "monitor.fault",
    k.MONITOR_OK: "monitor.ok",
    k.UPDATE_FAILED: "update.failed",
    k.SAFE_MODE: "safe_mode",
    k.SAFE_MODE_ENDED: "safe_mode.ended",
    k.BOOT: "boot",
    k.COMMAND_DONE: "command.done",
    k.CLOCK_SET: "clock.set",
    k.TEST_PRESS: "test.press",
    k.PAIRED: "paired",
    k.CHECK_IN: "check_in",
    k.AWAY: "away",
    k.HOME: "home",
    k.WALK_TEST: "walk_test",
    k.SERVICE_REQUEST: "service.request",
    k.ALARM_ACCEPTED: "alarm.accepted",
    k.ALARM_CLOSED: "alarm.closed",
    k.ALARM_CORRECTED: "alarm.corrected",
    k.ALARM_REOPENED: "alarm.reopened",
    k.ALARM_ESCALATED: "alarm.escalated",
    k.ALARM_DISPATCHED: "alarm.dispatched",
    k.ALARM_ON_SCENE: "alarm.on_scene",
    k.ALARM_HANDED_OVER: "alarm.handed_over",
    k.CHECK_OUT: "check_out",
    k.REFERRAL: "referral",
    k.MODE_SET: "mode.set",
    k.PATH_PROVEN: "path.proven",
    k.RULE_HINT: "rule.hint",
    k.FAULT_ASSIGNED: "fault.assigned",
    k.FAULT_CLOSED: "fault.closed",
    k.PAIRING_OPENED: "pairing.opened",
    k.PAIRING_CLOSED: "pairing.closed",
    k.SENSOR_HEARD: "sensor.heard",
    k.UNPAIRED: "unpaired",
    k.UPDATE_PROGRESS: "update.progress",
    k.UPDATE_DONE: "update.done",
    k.SURVEY: "survey",
    k.PROVISIONED: "provisioned",
    k.INSTALLATION_ACCEPTED: "installation.accepted",
    k.SMOKE_CLEAR: "smoke.clear",
    k.GAS_CLEAR: "gas.clear",
    k.CARBON_MONOXIDE_CLEAR: "carbon_monoxide.clear",
    k.WATER_LEAK_CLEAR: "water_leak.clear",
    k.DOOR_OPEN: "door.open",
    k.DOOR_CLOSED: "door.closed",
    k.WINDOW_OPEN: "window.open",
    k.WINDOW_CLOSED: "window.closed",
    k.HEARTBEAT: "heartbeat",
    k.MOTION: "motion",
    k.MOTION_COUNT: "motion.count",
    k.STILL: "still",
    k.VITALS: "vitals",
    k.VITALS_INVALID: "vitals.invalid",
}

# Fault and its restoral.
RESTORAL = {kind: kind + 1 for kind in KINDS if 64 <= kind < 128 and kind % 2 == 0 and kind + 1 in KINDS}

KEYS = {
    k.KIND: "kind",
    k.UP_MS: "up_ms",
    k.UTC_MS: "utc_ms",
    k.CLOCK: "clock",
    k.DEVICE: "device",
    k.FLAGS: "flags",
    k.BATTERY: "battery_percent",
    k.RSSI: "rssi_dbm",
    k.ALARM: "alarm",
    k.COUNT: "count",
    k.ATTEMPT: "attempt",
    k.SPAN_MS: "span_ms",
    k.VALUES: "values",
    k.DETAIL: "detail",
    k.PREVIOUS: "previous",
    k.RESET: "reset",
    k.HEAP: "heap_bytes",
    k.LINK: "link",
    k.OUTBOX: "outbox",
    k.DROPS: "drops",
    k.RADIO: "radio",
    k.FIRMWARE: "firmware",
    k.POWER: "power",
    k.VERSIONS: "versions",
    k.DOWNLINK: "downlink",
    k.LOST: "lost",
    k.COMMAND: "command",
    k.STATE: "state",
    k.SUBJECT: "subject",
    k.OPERATOR: "operator",
    k.REASON: "reason",
    k.REFUSED: "refused",
    k.FAULTS: "faults",
    k.RULE: "rule",
    k.EXPLANATION: "explanation",
    k.LEVEL: "level",
    k.DUE_MS: "due",
    k.MODE: "mode",
    k.MEMBERS: "members",
    k.NEED: "need",
    k.INCIDENT: "incident",
    k.STATUS: "status",
    k.USER: "user",
    k.MEASURED_S: "measured",
    k.CLOCK_OFFSET_S: "clock_offset_s",
    k.INVALID: "invalid",
    k.ADDRESS: "address",
    k.ROLE: "role",
    k.NAME: "name",
    k.ADVERTISED: "advertised",
    k.OFFSET: "offset",
    k.SIZE: "size",
    k.SLOT: "slot",
    k.INTERVAL_MS: "interval_ms",
    k.LEVELS_DBM: "levels_dbm",
    k.RECORD: "record",
    k.VERDICT: "verdict",
}

FLAGS = {k.TEST: "test", k.HISTORICAL: "historical", k.UNVERIFIED: "unverified", k.NOT_SAVED: "not_saved"}
CLOCKS = {1: "sntp", 2: "host", 3: "modem"}
LINKS = {1: "mqtt", 2: "serial", 3: "ble"}
RESETS = {
    0: "unknown",
    1: "power_on",  # a brown-out is reported as power on
    2: "hard",
    3: "watchdog",
    4: "deep_sleep",
    5: "soft",
    6: "task_failed",  # the supervisor gave up on a task
    7: "task_stalled",  # a task stopped reporting to the watchdog
    8: "out_of_memory",
    9: "requested",
}
STATES = {
    k.OPEN: "open",
    2: "stored",
    3: "delivered",
    k.ACCEPTED: "accepted",
    k.DISPATCHED: "dispatched",
    k.ON_SCENE: "on_scene",
    k.CLOSED: "closed",
    k.PRE: "pre_alarm",
}
LEVELS = {1: "community", 2: "street", 3: "district", 4: "city"}
SLOTS = {1: "a", 2: "b", 3: "safe"}
VERDICTS = {1: "passed", 2: "passed_with_remarks", 3: "failed"}
MODES = {1: "home", 2: "away", 3: "hospital", 4: "visitor", 5: "sleep"}
# DETAIL by kind; where a kind speaks of another, DETAIL is that one's number.
DETAILS = {
    k.PRE_ALARM: KINDS,
    k.FAULT_ASSIGNED: KINDS,
    k.FAULT_OVERDUE: KINDS,
    k.FAULT_CLOSED: KINDS,
    k.INCIDENT_OPENED: KINDS,
    k.INCIDENT_CLOSED: KINDS,
    k.LINE_FAULT: {1: "open", 2: "short"},
    k.LINK_LOST: {1: "mqtt", 2: "serial", 3: "ble"},
    k.LINK_BACK: {1: "mqtt", 2: "serial", 3: "ble"},
    k.CLOCK_FAULT: {1: "never_set", 2: "jumped", 3: "went_back"},
    k.STORAGE_FULL: {1: "outbox_full", 2: "flash_failed"},
    k.IDENTITY_FAULT: {
        1: "same_identity_other_bytes",
        2: "boot_started_twice",
        3: "replaced_board_heard",  # an older key, and not what a newer board had left to say
        4: "boot_not_raised",  # a newer key under a boot of an older one
        5: "answered_by_another_host",
    },
    k.PATH_FAULT: {1: "not_stored", 2: "not_delivered", 3: "no_proof"},
    k.EVENTS_LOST: {1: "thinned", 2: "not_held", 3: "unreadable"},
    k.COMMAND_REFUSED: {
        1: "unknown",
        2: "malformed",
        3: "not_saved",
        4: "too_late",  # PAIR under way for too long, or clocks that do not agree
        5: "alarm_stands",
        6: "no_such_device",
        7: "pressed",  # PAIR with PROVE of a wired button that is pressed already
        8: "not_newer",  # UPDATE to a release that is not above the one that runs
        9: "busy",
    },
    k.UPDATE_FAILED: {
        1: "not_signed",  # by none of the keys that the hub trusts
        2: "damaged",  # not the archive, or not the files, that were announced
        3: "not_newer",
        4: "no_room",
        5: "did_not_start",
        6: "not_proven",  # no test call of it came through in time
        7: "not_for_this_board",
        8: "given_up",  # by command
        9: "not_saved",  # flash or memory failed
    },
    k.PROVISIONED: {1: "serial", 2: "ble", 3: "improv"},
    k.SENSOR_DOUBTED: {1: "counter_went_back", 2: "repeated", 3: "not_encrypted", 4: "forged", 5: "no_key"},
    k.MONITOR_FAULT: {
        1: "bond_lost",  # it wants the old key: unpair it there, and pair it again
        2: "pairing_refused",
        3: "gave_nothing",  # three times in a row the connection ended before a whole measurement came
        4: "not_understood",  # service or characteristic missing, or malformed data
        5: "other_host",  # it keeps to another host
        6: "floods",  # far more measurements than a person takes: for half an hour none is taken
    },
    k.PAIRING_CLOSED: {1: "expired", 2: "by_command", 3: "restarted", 4: "alarm", 5: "pressed"},
}
ROLES = {
    1: "call",
    2: "motion",
    3: "door",
    4: "window",
    5: "smoke",
    6: "gas",
    7: "carbon_monoxide",
    8: "moisture",
    9: "fall",
    10: "visit",
    11: "blood_pressure",
    12: "heart_rate",
    13: "pulse_oximeter",
    14: "thermometer",
    15: "weight_scale",
    16: "glucose",
}
# Units of VALUES as UCUM codes.
UNITS = {
    1: "mm[Hg]",
    2: "kPa",
    3: "Cel",
    4: "[degF]",
    5: "kg",
    6: "[lb_av]",
    7: "mg/dL",
    8: "mmol/L",
    9: "%",
    10: "/min",
    11: "m",
    12: "[in_i]",
    13: "kg/m2",
}
# Codes of ISO/IEEE 11073-10101 (MDC): partition x 65536 + term. Name, and the unit when none is said.
QUANTITIES = {
    150021: ("systolic", 1),
    150022: ("diastolic", 1),
    150023: ("mean_pressure", 1),
    149546: ("pulse", 10),
    149530: ("oximeter_pulse", 10),
    147842: ("heart_rate", 10),
    150456: ("oxygen", 9),
    150320: ("pulse_amplitude", 9),
    150364: ("temperature", 3),
    188736: ("weight", 5),
    188740: ("height", 11),
    188752: ("body_mass_index", 13),
    160184: ("glucose", 8),  # capillary whole blood, and where a monitor does not say
    160188: ("glucose_capillary_plasma", 8),
    160192: ("glucose_venous_blood", 8),
    160196: ("glucose_venous_plasma", 8),
    160200: ("glucose_arterial_blood", 8),
    160204: ("glucose_arterial_plasma", 8),
    160208: ("glucose_control", 8),  # control solution: of no person
    160212: ("glucose_interstitial", 8),
    160364: ("glucose_blood", 8),
    160368: ("glucose_plasma", 8),
}
# Bits of STATUS, one numbering for all profiles.
MEASUREMENT_STATUS = {
    1 << 0: "body_movement",
    1 << 1: "cuff_loose",
    1 << 2: "irregular_pulse",
    1 << 3: "pulse_above_range",
    1 << 4: "pulse_below_range",
    1 << 5: "improper_position",
    1 << 6: "no_contact",  # sensor off the body, displaced or unplugged
    1 << 7: "ongoing",
    1 << 8: "early_estimate",
    1 << 9: "demonstration",
    1 << 10: "testing",
    1 << 11: "calibrating",
    1 << 12: "unavailable",
    1 << 13: "questionable",
    1 << 14: "invalid",
    1 << 15: "malfunction",
    1 << 16: "weak_signal",
    1 << 17: "low_perfusion",
    1 << 18: "questionable_pulse",
    1 << 19: "battery_low",
    1 << 20: "sample_too_small",
    1 << 21: "strip_fault",
    1 << 22: "above_range",  # more than the monitor can measure
    1 << 23: "below_range",
    1 << 24: "wrong_temperature",  # the monitor is too warm or too cold to measure
    1 << 25: "interrupted",
    1 << 26: "clock_not_set",
}
# Why a quantity has no value: IEEE 11073-20601's special values, and two of ours.
SPECIALS = {
    1: "nan",
    2: "nres",
    3: "positive_infinity",
    4: "negative_infinity",
    5: "out_of_bounds",  # a number that no living person has
    6: "device_invalid",  # the monitor's status says so
}
CLASSES = {1: "life", 2: "welfare", 3: "technical", 4: "service", 5: "information"}
# What the hub's lamp and buzzer say (firmware/kanhu_hub/indicator.py), in English and Chinese.
LAMP = {
    "well": ("all well", "一切正常"),
    "cannot_tell": ("nobody upstream answers", "后台无应答"),
    "fault": ("the hub needs service", "设备需要维护"),
    "heard": ("your call is saved in this hub", "呼叫已记录"),
    "stored": ("your call is saved at the host", "呼叫已保存"),
    "delivered": ("the centre has your call", "呼叫已送达中心"),
    "not_saved": ("sent, but not saved", "已发送，未能保存"),
    "unanswered": ("nobody has answered yet", "尚无人应答"),
    "accepted": ("a person has your call", "已有人受理"),
    "coming": ("a person is on the way", "工作人员正在赶来"),
    "pairing": ("listening for new sensors", "正在搜索新设备"),
    "proving": ("press the button now: this is a test", "请按按钮：这是测试"),
    "asking": ("are you well? press the cancel key", "您还好吗？请按取消键"),
}
