"""What is wrong with a health monitor or its reading, and what to do; by names of kanhu_protocol.names."""

from __future__ import annotations

from collections.abc import Iterable

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k
from kanhu_protocol import names

# names.DETAILS[MONITOR_FAULT]: the monitor gives nothing.
FAULTS: dict[str, Words] = {
    "bond_lost": Words(
        "The monitor and the hub no longer know each other. Delete the hub in the monitor's settings, open "
        "'Add a sensor' here, then put the monitor into pairing mode.",
        "设备与主机的配对已失效。请在设备上清除配对，在此打开“添加设备”，再让设备进入配对模式。",
    ),
    "pairing_refused": Words(
        "The monitor refuses this hub. Put it into pairing mode near the hub, then measure once more.",
        "设备拒绝连接主机。请在主机附近让设备进入配对模式，然后再测一次。",
    ),
    "gave_nothing": Words(
        "The monitor hung up three times before a reading came. Bring it nearer to the hub, change its "
        "battery, then measure once more.",
        "设备连续三次未传完读数就断开。请靠近主机，更换电池，再测一次。",
    ),
    "not_understood": Words(
        "The hub cannot read what this monitor says. The model does not fit: remove it here and ask for one "
        "that does.",
        "主机无法识别此设备的数据，型号不兼容。请在此移除，并询问可用的型号。",
    ),
    "other_host": Words(
        "The monitor belongs to another device. Delete its pairing with that phone or app, put it into "
        "pairing mode near the hub, then measure once more.",
        "设备已与其他手机或应用配对。请先在那里删除配对，在主机附近让设备进入配对模式，再测一次。",
    ),
    "floods": Words(
        "The monitor sends readings without end. Take its battery out, put it in again; have it checked if "
        "that does not help.",
        "设备不停地发送读数。请取出电池再装上；若仍如此，请检查设备。",
    ),
}
# names.SPECIALS: the monitor measured, and there is no number.
READINGS: dict[str, Words] = {
    "nan": Words(
        "The monitor could not measure. Sit still, put it on as its leaflet shows, measure again.",
        "设备没有测出结果。请坐好不动，按说明书佩戴，再测一次。",
    ),
    "nres": Words(
        "The monitor could not measure exactly enough. Put it on as its leaflet shows, measure again.",
        "设备测量不够准确。请按说明书佩戴，再测一次。",
    ),
    "positive_infinity": Words(
        "The value is above what the monitor can show. Measure again; if it says so again, tell a carer or "
        "a doctor.",
        "数值高于设备能显示的范围。请再测一次；若仍如此，请告诉护理人员或医生。",
    ),
    "negative_infinity": Words(
        "The value is below what the monitor can show. Measure again; if it says so again, tell a carer or "
        "a doctor.",
        "数值低于设备能显示的范围。请再测一次；若仍如此，请告诉护理人员或医生。",
    ),
    "out_of_bounds": Words(
        "The monitor sent a number that no person can have. Measure again; if it happens again, have the "
        "monitor checked.",
        "设备传来的数字不可能属于人体。请再测一次；若仍如此，请检查设备。",
    ),
    "device_invalid": Words(
        "The monitor itself says that this reading does not count. Put it on as its leaflet shows, measure "
        "again.",
        "设备自己提示本次测量无效。请按说明书佩戴，再测一次。",
    ),
}
# names.MEASUREMENT_STATUS: what the monitor said of a measurement, where it makes a reading doubtful.
STATUS: dict[str, Words] = {
    "body_movement": Words("Somebody moved while it measured. Sit still.", "测量时身体动了，请坐好不动。"),
    "cuff_loose": Words("The cuff was too loose. Put it on more tightly.", "袖带太松，请绑紧一些。"),
    "irregular_pulse": Words("The monitor noted an irregular pulse.", "设备提示脉搏不规则。"),
    "pulse_above_range": Words("The pulse was faster than the monitor can count.", "脉搏快于设备可测范围。"),
    "pulse_below_range": Words("The pulse was slower than the monitor can count.", "脉搏慢于设备可测范围。"),
    "improper_position": Words(
        "It was held wrongly. Hold it as its leaflet shows.", "测量位置不对，请按说明书放置。"
    ),
    "no_contact": Words("It did not touch the skin. Put it on again.", "没有接触皮肤，请重新佩戴。"),
    "ongoing": Words("It was still measuring.", "测量尚未结束。"),
    "early_estimate": Words(
        "It was only a first guess. Wait a little longer.", "只是初步估计，请多等一会儿。"
    ),
    "demonstration": Words("The monitor is in demonstration mode.", "设备处于演示模式。"),
    "testing": Words("The monitor was testing itself.", "设备正在自检。"),
    "calibrating": Words("The monitor was calibrating itself.", "设备正在校准。"),
    "unavailable": Words("There was no measurement.", "没有测量结果。"),
    "questionable": Words(
        "The monitor doubts this reading. Measure again.", "设备对本次结果存疑，请再测一次。"
    ),
    "invalid": Words(
        "The monitor says this reading is none. Measure again.", "设备提示结果无效，请再测一次。"
    ),
    "malfunction": Words("The monitor is broken. Have it checked.", "设备故障，请检修。"),
    "weak_signal": Words("The signal was weak. Warm the hand, hold still.", "信号弱，请暖手并保持不动。"),
    "low_perfusion": Words("Little blood in the finger. Warm the hand.", "手指血流少，请暖手后再测。"),
    "questionable_pulse": Words("The monitor doubts the pulse.", "设备对脉搏结果存疑。"),
    "battery_low": Words("Its battery is low. Change it.", "设备电量低，请更换电池。"),
    "sample_too_small": Words("Too little blood on the strip. Use a new strip.", "采血量不足，请换新试纸。"),
    "strip_fault": Words("The strip was not right. Use a new strip.", "试纸有问题，请换新试纸。"),
    "above_range": Words("The value is above what it can measure.", "数值高于可测范围。"),
    "below_range": Words("The value is below what it can measure.", "数值低于可测范围。"),
    "wrong_temperature": Words(
        "It was too cold or too warm for the monitor. Measure at room temperature.",
        "环境温度不合适，请在室温下测量。",
    ),
    "interrupted": Words("The measurement was interrupted. Measure again.", "测量中断，请再测一次。"),
    "clock_not_set": Words("The monitor's clock is not set.", "设备的时钟没有设置。"),
}
REASONS = FAULTS | READINGS
UNKNOWN = Words(
    "There was no valid reading. Measure again near the hub.", "没有有效读数，请在主机附近再测一次。"
)
# When a measurement has several, this is said first.
_FIRST = ("device_invalid", "positive_infinity", "negative_infinity", "out_of_bounds", "nres", "nan")
# Of a status, what a person can put right comes first.
_PLAIN = (
    "cuff_loose", "improper_position", "no_contact", "body_movement", "sample_too_small", "strip_fault",
    "wrong_temperature", "low_perfusion", "weak_signal", "interrupted", "early_estimate", "malfunction",
    "demonstration", "testing", "calibrating",
)  # fmt: skip


def fault(detail: int) -> Words:
    """Of monitor.fault with that DETAIL: what happened, and what to do."""
    return FAULTS.get(names.DETAILS[k.MONITOR_FAULT].get(detail, ""), UNKNOWN)


def invalid(specials: Iterable[int], status: int = 0) -> Words:
    """Of vitals.invalid: specials as in its INVALID, status as in its STATUS."""
    bits = {name for mask, name in names.MEASUREMENT_STATUS.items() if status & mask}
    for name in _PLAIN:
        if name in bits:
            return STATUS[name]
    given = {names.SPECIALS.get(one, "") for one in specials}
    return next((READINGS[name] for name in _FIRST if name in given), UNKNOWN)
