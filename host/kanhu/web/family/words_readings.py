"""What the page of readings says, in English and in Chinese; never what a reading means for a person."""

from __future__ import annotations

from typing import NamedTuple

from kanhu.care.rules.values import Words


class What(NamedTuple):
    """Readings that are shown together: their codes, the first those of the curve, and the unit."""

    words: Words
    codes: tuple[int, ...]
    unit: Words
    roles: frozenset[int]  # of monitors that measure it
    is_pair: bool = False


WHATS: dict[str, What] = {
    "blood_pressure": What(
        Words("Blood pressure", "血压"), (150021, 150022), Words("mmHg", "毫米汞柱"), frozenset({11}), True
    ),
    "pulse": What(
        Words("Pulse", "脉搏"), (149546, 149530, 147842), Words("beats a minute", "次/分"),
        frozenset({11, 12, 13}),
    ),
    "oxygen": What(Words("Oxygen in the blood", "血氧"), (150456,), Words("%", "%"), frozenset({13})),
    "temperature": What(Words("Temperature", "体温"), (150364,), Words("°C", "°C"), frozenset({14})),
    "weight": What(Words("Weight", "体重"), (188736,), Words("kg", "公斤"), frozenset({15})),
    "glucose": What(
        Words("Blood glucose", "血糖"), (160184, 160212), Words("mmol/L", "毫摩尔/升"), frozenset({16})
    ),
}  # fmt: skip
# Numbers that have a name of their own in a limit's sentence.
PARTS = {
    150021: Words("upper", "高压"),
    150022: Words("lower", "低压"),
    149546: Words("cuff", "血压计"),
    149530: Words("oximeter", "血氧仪"),
    147842: Words("heart rate", "心率"),
    160212: Words("in tissue", "组织液"),
}
PULSE = Words("pulse {number}", "脉搏 {number}")

TEXT: dict[str, Words] = {
    "title": Words("Health readings", "健康数据"),
    "none": Words(
        "No readings yet. Pair a blood pressure monitor, thermometer or the like under Sensors; what it "
        "measures then stands here.",
        "还没有数据。在“设备”中添加血压计、体温计等，测量结果会显示在这里。",
    ),
    "monitors_title": Words("Look at the monitor", "请查看仪器"),
    "whose_title": Words("Whose was it?", "这是谁测的？"),
    "whose_hint": Words(
        "Several people use this monitor, and it did not say who. Nothing is drawn before somebody says so.",
        "这台仪器多人共用，且未说明测量人。确认之前不计入任何人的曲线。",
    ),
    "whose_more": Words("and {n} more, older", "另有 {n} 条更早的"),
    "whose_button": Words("It was {name}", "是{name}"),
    "all_readings": Words("All readings", "全部数据"),
    "who": Words("Whose readings", "谁的数据"),
    "unnamed": Words("No name", "未填姓名"),
    "unknown_person": Words("Not known whose", "不知是谁"),
    "span": Words("How much at once", "显示范围"),
    "day": Words("Day", "一天"),
    "week": Words("7 days", "7 天"),
    "month": Words("30 days", "30 天"),
    "which_days": Words("Other days", "其他日期"),
    "earlier": Words("Earlier", "更早"),
    "later": Words("Later", "更晚"),
    "today": Words("Today", "今天"),
    "yesterday": Words("Yesterday", "昨天"),
    "nothing": Words("No readings in these days.", "这段时间没有数据。"),
    "newest": Words("Last reading: {day}", "最近一次：{day}"),
    "limits": Words("Limits that were set", "已设定的限值"),
    "no_limits": Words(
        "No limits are set here. Ask your doctor or the service that looks after this home.",
        "未设定限值。可请医生或服务机构设定。",
    ),
    "no_meaning": Words(
        "These are the monitor's numbers. What they mean, ask a doctor.",
        "以上为仪器的测量值，含义请咨询医生。",
    ),
    "as_numbers": Words("All these as numbers", "查看全部数值"),
    "cut": Words(
        "These are the newest; choose fewer days for the rest.", "仅列出较新的数据，缩短日期范围可查看其余。"
    ),
    "when": Words("When", "时间"),
    "key": Words("What the signs mean", "图例"),
    "key_dot": Words("reading", "测量值"),
    "key_upper": Words("upper", "高压"),
    "key_lower": Words("lower", "低压"),
    "key_mean": Words("mean; the line goes from least to most", "平均值，竖线为最低到最高"),
    "key_beyond": Words("outside the limits that were set", "超出设定限值"),
    "key_band": Words("within the limits that were set", "设定限值以内"),
    "wrong_person": Words("Somebody else?", "不是此人？"),
    "time_unknown": Words("Time not known", "测量时间不明"),
}

WITHIN = Words("within the limits that were set", "在设定限值内")
ABOVE = Words("above the limit of {limit} that was set", "高于设定限值 {limit}")
BELOW = Words("below the limit of {limit} that was set", "低于设定限值 {limit}")
NOT_COMPARED = Words("not compared with limits", "不与限值比较")
BETWEEN = Words("{low} to {high}", "{low} 至 {high}")
AT_MOST = Words("at most {high}", "不高于 {high}")
AT_LEAST = Words("at least {low}", "不低于 {low}")
MEAN_OF = Words("mean {mean}, {times} readings", "平均 {mean}，共 {times} 次")
TOLD = Words("{times} readings, from {least} to {most}.", "共 {times} 次测量，{least} 至 {most}。")
TOLD_PAIR = Words(
    "{times} readings, upper from {least} to {most}, lower from {low_least} to {low_most}.",
    "共 {times} 次测量，高压 {least} 至 {most}，低压 {low_least} 至 {low_most}。",
)
TOLD_BEYOND = Words("{times} outside the limits that were set.", "其中 {times} 次超出设定限值。")
TOLD_WITHIN = Words("None outside the limits that were set.", "均未超出设定限值。")

# How the moment of a reading is known, where it is not plain.
CLOCKS: dict[str, Words] = {
    "received": Words("time: when it arrived", "时间为收到的时间"),
    "corrected": Words("from the monitor's memory", "来自仪器存储"),
    "monitor": Words("from the monitor's memory, by its own clock", "来自仪器存储，时间以仪器为准"),
    "unknown": Words("from the monitor's memory, time not known", "来自仪器存储，时间不明"),
}
UNVERIFIED = Words("not certain that it came from this monitor", "不能确定来自这台仪器")

# names.MEASUREMENT_STATUS
STATUS: dict[str, Words] = {
    "body_movement": Words("moved while measuring", "测量时身体移动"),
    "cuff_loose": Words("the cuff was loose", "袖带过松"),
    "irregular_pulse": Words("the monitor noticed an irregular pulse", "仪器检测到脉搏不规律"),
    "pulse_above_range": Words("pulse above what the monitor can measure", "脉搏高于仪器量程"),
    "pulse_below_range": Words("pulse below what the monitor can measure", "脉搏低于仪器量程"),
    "improper_position": Words("not in the right position", "测量姿势不正确"),
    "no_contact": Words("no contact with the body", "未接触身体"),
    "ongoing": Words("still measuring", "测量进行中"),
    "early_estimate": Words("a first estimate", "初步估计值"),
    "demonstration": Words("the monitor is showing a demonstration", "仪器处于演示模式"),
    "testing": Words("the monitor is testing itself", "仪器正在自检"),
    "calibrating": Words("the monitor is calibrating", "仪器正在校准"),
    "unavailable": Words("the monitor had no reading", "仪器没有得到数值"),
    "questionable": Words("the monitor doubts this reading", "仪器认为此值可疑"),
    "invalid": Words("the monitor says this is no reading", "仪器判定此值无效"),
    "malfunction": Words("the monitor reports a fault of its own", "仪器自身故障"),
    "weak_signal": Words("weak signal", "信号弱"),
    "low_perfusion": Words("little blood flow where it measured", "测量部位血流弱"),
    "questionable_pulse": Words("the monitor doubts the pulse", "仪器认为脉搏可疑"),
    "battery_low": Words("the monitor's battery is low", "仪器电量低"),
    "sample_too_small": Words("too little blood on the strip", "试纸上血样不足"),
    "strip_fault": Words("something is wrong with the strip", "试纸有问题"),
    "above_range": Words("above what the monitor can measure", "高于仪器量程"),
    "below_range": Words("below what the monitor can measure", "低于仪器量程"),
    "wrong_temperature": Words("the monitor was too warm or too cold", "仪器温度过高或过低"),
    "interrupted": Words("the measurement was interrupted", "测量被中断"),
    "clock_not_set": Words("the monitor's clock is not set", "仪器时钟未设置"),
}

NO_READING = Words("{monitor}: no reading", "{monitor}：没有得到数值")
NOT_WORKING = Words("{monitor}: does not pass on its readings", "{monitor}：无法传送数据")
WELL_SINCE = Words("It has given a reading since then.", "之后已测到数值。")
MENDED = Words("It works again.", "现已恢复。")
TRY_AGAIN = Words("Sit still for a few minutes, then measure again.", "静坐几分钟后重新测量。")
MONITORS: dict[int, Words] = {  # names.ROLES
    11: Words("Blood pressure monitor", "血压计"),
    12: Words("Heart rate strap", "心率带"),
    13: Words("Oximeter", "血氧仪"),
    14: Words("Thermometer", "体温计"),
    15: Words("Scale", "体重秤"),
    16: Words("Glucose meter", "血糖仪"),
}
MONITOR = Words("Monitor", "测量仪器")
NOT_A_READING = Words(
    "This is not a reading of a monitor that several people share.", "这不是共用仪器的测量数据。"
)
NOT_A_WEARER = Words("Nobody of this name uses the monitor.", "这台仪器没有此使用者。")
