"""What the families' log says, in English and in Chinese; and of which kinds of events it says nothing."""

from __future__ import annotations

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k

TEXT: dict[str, Words] = {
    "log_title": Words("What happened", "发生了什么"),
    "log_none": Words("Nothing has been written down yet.", "还没有记录。"),
    "log_no_more": Words("There is nothing older.", "没有更早的记录了。"),
    "log_older": Words("Older", "更早的记录"),
    "log_newest": Words("Back to the newest", "回到最新"),
    "log_hint": Words(
        "Times are of the home. Movement in the rooms is not listed.",
        "时间为家中时间。房间里的活动不在此列出。",
    ),
}

# By kind: what a family is told. {what} is the device as the family calls it, or the hub; {span}, {until},
# {percent} and {value} as sentences.py says.
TELLS: dict[int, Words] = {
    # Calls and other alarms
    k.CALL: Words("Emergency call: {what}", "紧急呼叫：{what}"),
    k.FALL: Words("A fall was noticed: {what}", "发现跌倒：{what}"),
    k.SMOKE: Words("Smoke: {what}", "烟雾报警：{what}"),
    k.GAS: Words("Gas: {what}", "燃气报警：{what}"),
    k.CARBON_MONOXIDE: Words("Carbon monoxide: {what}", "一氧化碳报警：{what}"),
    k.INACTIVITY: Words("Alarm: nobody has moved for long", "报警：家中长时间无活动"),
    k.VITALS_OUT_OF_RANGE: Words("Alarm: a reading is outside its limits", "报警：测量值超出设定范围"),
    k.WATER_LEAK: Words("Water on the floor: {what}", "漏水：{what}"),
    k.WANDERING: Words("Alarm: may have wandered off", "报警：可能走失"),
    k.NO_RETURN: Words("Alarm: not back home", "报警：外出未归"),
    k.DOOR_LEFT_OPEN: Words("Alarm: a door was left open", "报警：门长时间未关"),
    k.MISSED_VISIT: Words("Alarm: a carer did not come", "报警：护理人员未按时到访"),
    k.OVERSTAY: Words("Alarm: very long in one room", "报警：在一个房间停留过久"),
    k.PRE_ALARM: Words("The hub asked at home whether all is well", "主机询问老人是否平安"),
    k.PRE_ALARM_CANCELLED: Words("At home somebody said: all is well", "家中按键确认：平安"),
    k.ALARM_ACCEPTED: Words("An operator answered{span}", "值守员已受理{span}"),
    k.ALARM_DISPATCHED: Words("Somebody is on the way", "工作人员已出发"),
    k.ALARM_ON_SCENE: Words("Somebody is there", "工作人员已到现场"),
    k.ALARM_CLOSED: Words("The call is finished", "此次呼叫已处理完毕"),
    k.ALARM_REOPENED: Words("Pressed again: it needs an answer again", "再次按下：需要重新受理"),
    k.ALARM_ESCALATED: Words(
        "Nobody had answered yet: more people were asked", "仍无人受理：已通知更多值守人员"
    ),
    # Faults and their ends
    k.MAINS_LOST: Words("The hub is without mains power", "主机断电"),
    k.MAINS_BACK: Words("The hub has mains power again", "主机恢复供电"),
    k.BATTERY_LOW: Words("Battery low: {what}", "电池电量低：{what}"),
    k.BATTERY_OK: Words("Battery good again: {what}", "电池已恢复：{what}"),
    k.SENSOR_SILENT: Words("No longer heard: {what}", "收不到信号：{what}"),
    k.SENSOR_BACK: Words("Heard again: {what}", "信号恢复：{what}"),
    k.TAMPER: Words("Opened or taken off: {what}", "设备被打开或拆动：{what}"),
    k.TAMPER_RESTORED: Words("Closed again: {what}", "设备已复原：{what}"),
    k.LINK_LOST: Words("The hub lost its connection", "主机网络中断"),
    k.LINK_BACK: Words("The hub is connected again", "主机网络恢复"),
    k.CLOCK_FAULT: Words("The hub does not know the time", "主机时间不准"),
    k.CLOCK_OK: Words("The hub knows the time again", "主机时间已校准"),
    k.STORAGE_FULL: Words("The hub cannot save any more", "主机无法继续保存记录"),
    k.STORAGE_OK: Words("The hub can save again", "主机恢复保存"),
    k.IDENTITY_FAULT: Words("Something else speaks in the hub's name", "发现另一设备冒用主机身份"),
    k.IDENTITY_OK: Words("Only the hub speaks in its name again", "主机身份恢复正常"),
    k.LINE_FAULT: Words("A wire is broken: {what}", "线路断开或短路：{what}"),
    k.LINE_OK: Words("The wire is whole again: {what}", "线路恢复：{what}"),
    k.CONTACT_STUCK: Words("Stuck: {what}", "卡住：{what}"),
    k.CONTACT_RELEASED: Words("No longer stuck: {what}", "不再卡住：{what}"),
    k.HUB_SILENT: Words("The hub is not heard", "主机失联"),
    k.HUB_BACK: Words("The hub is heard again", "主机恢复联系"),
    k.EVENTS_LOST: Words("Some records of the hub were lost", "主机有部分记录丢失"),
    k.SENSOR_DOUBTED: Words("Its messages are in doubt: {what}", "信号可疑：{what}"),
    k.PATH_FAULT: Words("The daily test call did not come through", "每日自动测试呼叫未通过"),
    k.PATH_OK: Words("The daily test call comes through again", "每日自动测试呼叫恢复正常"),
    k.SENSOR_UNPROVEN: Words("Nothing shows that it still senses: {what}", "无法确认是否仍能感应：{what}"),
    k.SENSOR_PROVEN: Words("It senses again: {what}", "已确认能感应：{what}"),
    k.MONITOR_FAULT: Words("Gives no readings: {what}", "没有测量数据：{what}"),
    k.MONITOR_OK: Words("Gives readings again: {what}", "恢复测量：{what}"),
    k.SAFE_MODE: Words("The hub runs on its spare program", "主机正以备用程序运行"),
    k.SAFE_MODE_ENDED: Words("The hub runs as usual again", "主机恢复正常运行"),
    k.FAULT_CLOSED: Words("Seen to by the service: {name}", "服务人员已处理：{name}"),
    # What people do
    k.BOOT: Words("The hub started", "主机启动"),
    k.TEST_PRESS: Words("Test press, no call: {what}", "测试按键（不是呼叫）：{what}"),
    k.PAIRED: Words("Added: {what}", "已添加：{what}"),
    k.UNPAIRED: Words("Removed: {what}", "已移除：{what}"),
    k.CHECK_IN: Words("A carer came", "护理人员到访"),
    k.CHECK_OUT: Words("A carer left{span}", "护理人员离开{span}"),
    k.WALK_TEST: Words("Walk test: {what}", "步行测试：{what}"),
    k.SERVICE_REQUEST: Words("A service was asked for: {what}", "请求服务：{what}"),
    k.MODE_SET: Words("{mode}", "{mode}"),
    k.SMOKE_CLEAR: Words("No more smoke: {what}", "烟雾解除：{what}"),
    k.GAS_CLEAR: Words("No more gas: {what}", "燃气解除：{what}"),
    k.CARBON_MONOXIDE_CLEAR: Words("No more carbon monoxide: {what}", "一氧化碳解除：{what}"),
    k.WATER_LEAK_CLEAR: Words("No more water: {what}", "漏水解除：{what}"),
    k.UPDATE_DONE: Words("The hub has a new program", "主机程序已更新"),
    k.PATH_PROVEN: Words("Daily test call: it came through", "每日自动测试呼叫：通过"),
    k.VITALS: Words("{value}", "{value}"),
    k.VITALS_INVALID: Words(
        "No valid reading: {what}. Please measure again.", "测量无效：{what}。请重新测量。"
    ),
}

# What a family is not told here, because it happens all the time, is told in other words, or is only for
# those who look after the equipment.
NOT_TOLD: frozenset[int] = frozenset(
    (
        k.CALL_UNANSWERED,  # the call is told, and when somebody answers
        k.TEST_CALL,  # its outcome is
        k.COMMAND_REFUSED, k.COMMAND_DONE, k.CLOCK_SET,
        k.FAULT_OVERDUE, k.FAULT_ASSIGNED,  # the fault and its end are
        k.INCIDENT_OPENED, k.INCIDENT_CLOSED, k.REFERRAL,
        k.ALARM_CORRECTED, k.ALARM_HANDED_OVER,  # between operators
        k.AWAY, k.HOME,  # the mode that they set is
        k.RULE_HINT,  # stands on the first page while it holds
        k.PAIRING_OPENED, k.PAIRING_CLOSED, k.SENSOR_HEARD,
        k.UPDATE_PROGRESS, k.UPDATE_FAILED,  # the program before runs on, and those who update hear of it
        k.SURVEY, k.PROVISIONED,
        k.INSTALLATION_ACCEPTED,  # the family has it on paper
        k.DOOR_OPEN, k.DOOR_CLOSED, k.WINDOW_OPEN, k.WINDOW_CLOSED,
        k.HEARTBEAT, k.MOTION, k.MOTION_COUNT, k.STILL,
    )
)  # fmt: skip

# What is read of a hub's own events; all else that is told is read where the host keeps it as an alarm, a
# fault, a mode or a visit.
OF_EVENTS: tuple[int, ...] = (
    k.WATER_LEAK, k.WANDERING, k.EVENTS_LOST, k.BOOT, k.TEST_PRESS, k.PAIRED, k.UNPAIRED, k.WALK_TEST,
    k.SERVICE_REQUEST, k.SMOKE_CLEAR, k.GAS_CLEAR, k.CARBON_MONOXIDE_CLEAR, k.WATER_LEAK_CLEAR,
    k.PATH_PROVEN, k.UPDATE_DONE, k.VITALS, k.VITALS_INVALID,
)  # fmt: skip

HUB = Words("the hub", "主机")
AFTER = Words(", {} later", "，{}后")
STAYED = Words(" after {}", "，停留 {}")
NOT_CHECKED_OUT = Words("A carer did not check out", "护理人员未签退")
BY_MOVEMENT = Words("There was movement again: nothing to worry about", "家中又有活动：无需担心")
BY_MODE = Words("The question ended: the home is in another mode", "因居家模式改变，询问已结束")
ASKED_IN_VAIN = Words("No answer at home: it became an alarm", "老人未回应：已转为报警")
PRESSED = Words("pressed {} times", "共按 {} 次")
TIMES = Words("{} times", "{} 次")
MEASURED = Words("{} readings, the last of them", "共 {} 次测量，此为最后一次")
FROM_MEMORY = Words("from the monitor's memory", "来自设备存储")
ARRIVED = Words("the time it arrived; when it happened is not known", "此为收到时间，发生时间不详")
LOST = Words("{} of them", "共 {} 条")
MODES: dict[int, Words] = {
    1: Words("Back to every day", "恢复日常模式"),
    2: Words("Away until {until}", "外出，至{until}"),
    3: Words("In hospital until {until}", "住院，至{until}"),
    4: Words("Visitors until {until}", "有访客，至{until}"),
    5: Words("Asleep until {until}", "休息，至{until}"),
}
SET_BY: dict[str, Words] = {
    "family": Words("set by the family", "由家属设置"),
    "home": Words("set at home", "在家中设置"),
}
SET_BY_OTHERS = Words("set by an operator", "由值守员设置")

# What the family did on these pages, by its name in the audit.
AUDIT: dict[str, Words] = {
    "family_claimed": Words("The family claimed this page and set its PIN", "家属启用本页并设置密码"),
    "family_pin_changed": Words("The PIN of this page was changed", "本页密码已更改"),
    "family_locked": Words("Wrong PIN several times: locked for a while", "多次输错密码，暂时锁定"),
    "family_visits_ended": Words("All other phones were signed out", "其他手机均已退出"),
    "family_export": Words("The data was exported", "数据已导出"),
    "family_rename": Words("A sensor was given another name or place", "设备名称或位置已更改"),
    "family_key": Words("A sensor was given a new key", "设备密钥已更换"),
    "family_walk": Words("A walk test was begun", "已开始走动测试"),
}

BLOOD_PRESSURE = Words("Blood pressure", "血压")
WEEKDAYS = tuple(
    Words(*pair)
    for pair in zip(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
        strict=True,
    )
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
TODAY, YESTERDAY = Words("Today", "今天"), Words("Yesterday", "昨天")
