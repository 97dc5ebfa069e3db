"""Names of the numbers in kinds.py, for hosts and for people; the hub never imports this."""

from . import kinds as k

KINDS = {
    k.CALL: "call",
    k.CALL_UNANSWERED: "call.unanswered",
    k.FALL: "fall",
    k.SMOKE: "smoke",
    k.GAS: "gas",
    k.CARBON_MONOXIDE: "carbon_monoxide",
    k.INACTIVITY: "inactivity",
    k.VITALS_OUT_OF_RANGE: "vitals.out_of_range",
    k.WATER_LEAK: "water_leak",
    k.WANDERING: "wandering",
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
}

# Fault and its restoral.
RESTORAL = {kind: kind + 1 for kind in KINDS if 64 <= kind < 86 and kind % 2 == 0}

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
STATES = {k.OPEN: "open", 2: "stored", 3: "delivered", k.ACCEPTED: "accepted", k.CLOSED: "closed"}
# DETAIL by kind.
DETAILS = {
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
    k.EVENTS_LOST: {1: "thinned", 2: "not_held", 3: "unreadable"},
    k.COMMAND_REFUSED: {1: "unknown", 2: "malformed", 3: "not_saved"},
    k.SENSOR_DOUBTED: {1: "counter_went_back", 2: "repeated", 3: "not_encrypted", 4: "forged", 5: "no_key"},
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
}
