"""What the families' pages say of sensors: the list, adding, testing, the walk."""

from __future__ import annotations

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k

TEXT: dict[str, Words] = {
    # The list
    "sensors": Words("Sensors", "设备"),
    "add_sensor": Words("Add a sensor", "添加设备"),
    "walk_test": Words("Walk test", "走动测试"),
    "walk_test_hint": Words(
        "Walk through the rooms and see each sensor notice you.", "在各房间走一走，看每个感应器是否有反应。"
    ),
    "no_sensors": Words("No sensor is here yet.", "还没有设备。"),
    "which_hub": Words("Which hub is it near?", "设备在哪台主机附近？"),
    "hub_of": Words("Hub", "主机"),
    # One sensor
    "last_heard": Words("Last heard", "最近一次信号"),
    "battery": Words("Battery", "电量"),
    "signal": Words("Signal", "信号"),
    "last_proven": Words("Last proven", "最近一次验证"),
    "never": Words("never", "从未"),
    "not_known": Words("not known", "未知"),
    "by_wire": Words("wired to the hub", "有线连接主机"),
    "kind": Words("Kind", "类型"),
    "room": Words("Room", "房间"),
    "wearer": Words("Used by", "使用人"),
    "address": Words("Number on the sensor", "设备编号"),
    "test_now": Words("Test it now", "立即测试"),
    "replace": Words("Replace it with a new one", "更换新设备"),
    "replace_hint": Words(
        "The new one takes its name, its room and its records. It must be of the same kind.",
        "新设备沿用原来的名称、房间和记录，类型必须相同。",
    ),
    "change": Words("Name and place", "名称和位置"),
    "key_change": Words("New key", "更换密钥"),
    "key_change_hint": Words(
        "Only if its app shows another key than before.", "仅在设备的手机应用显示新密钥时需要。"
    ),
    "unpair": Words("Remove it", "移除设备"),
    "unpair_ask": Words("Remove this sensor?", "确定移除此设备？"),
    "unpair_call": Words(
        "Its presses raise nothing any more: nobody will come when it is pressed.",
        "移除后，按它不会再报警，也不会有人来。",
    ),
    "unpair_other": Words(
        "Whatever it senses is no longer noticed. What it has said so far stays.",
        "移除后，它的信号不再起作用。以前的记录会保留。",
    ),
    "unpair_alarm": Words(
        "It raises no alarm here any more. What it has said so far stays.",
        "移除后，它在这里不会再报警。以前的记录会保留。",
    ),
    "unpair_yes": Words("Yes, remove it", "确定移除"),
    "unpair_no": Words("No, keep it", "不，保留"),
    "save": Words("Save", "保存"),
    "saved": Words("Saved.", "已保存。"),
    "back": Words("Back", "返回"),
    # Adding
    "adding": Words("Add a sensor", "添加设备"),
    "replacing": Words("Replace a sensor", "更换设备"),
    "connecting": Words("Asking the hub to listen", "正在通知主机"),
    "listening": Words("The hub is listening", "主机正在搜索"),
    "time_left": Words("Time left", "剩余时间"),
    "press_it": Words(
        "Press the button of the new sensor once. Wake a monitor by measuring.",
        "请按一下新设备的按键；健康设备请开始测量一次。",
    ),
    "press_near": Words("Stay near the hub. Its lamp blinks slowly.", "请靠近主机，主机的灯会慢闪。"),
    "nothing_yet": Words("Nothing heard yet", "还没有发现设备"),
    "heard_these": Words("Heard. Which one is yours?", "已发现。请点选您的设备"),
    "not_to_add": Words("Not to be added", "不能添加的"),
    "is_here": Words("is here already", "已添加"),
    "other_hub": Words("is at the other hub of this home", "已连接本户另一台主机"),
    "is_elsewhere": Words("belongs to another home", "属于其他住户"),
    "another_kind": Words("of another kind", "类型不同"),
    "window_over": Words("The time is over", "时间到了"),
    "again": Words("Once more", "再试一次"),
    "end_search": Words("End the search", "停止搜索"),
    "what_is_it": Words("What is it?", "这是什么设备？"),
    "other_kind": Words("It is something else", "不是这种设备"),
    "name": Words("Name", "名称"),
    "which_room": Words("Where is it?", "放在哪里？"),
    "other_room": Words("another room", "其他房间"),
    "who_uses": Words("Who uses it?", "谁使用？"),
    "who_hint": Words("Several may share it.", "可以多人共用。"),
    "other_name": Words("another name", "其他姓名"),
    "its_key": Words("Its key", "设备密钥"),
    "its_key_hint": Words(
        "32 letters and digits from its app or its QR code. You may paste the whole text.",
        "设备应用或二维码中的 32 位字母数字，可粘贴整段文字。",
    ),
    "save_test": Words("Save and test", "保存并测试"),
    # Testing
    "testing": Words("Test", "测试"),
    "no_call": Words(
        "This press calls nobody. If help is needed, press again.",
        "这次按键不会报警。如需帮助，请再按一次。",
    ),
    "getting_ready": Words("One moment: the hub is being told", "请稍候，正在通知主机"),
    "do_not_press": Words("Do not press yet.", "请先不要按。"),
    "receipts": Words("What has arrived", "送达情况"),
    "r_heard": Words("Heard by the hub", "主机已收到"),
    "r_stored": Words("Kept on the server", "服务器已保存"),
    "r_delivered": Words("Received by the city's platform", "城市平台已收到"),
    "r_proven": Words("Proven: it works", "验证通过，工作正常"),
    "r_waiting": Words("waiting", "等待中"),
    "r_failed": Words("did not come", "未收到"),
    "test_failed": Words("Not proven yet", "尚未通过"),
    "test_over": Words("No test is under way.", "当前没有测试。"),
    "test_done": Words("It works", "工作正常"),
    "done": Words("Done", "完成"),
    "stop_test": Words("End the test", "结束测试"),
    # Walking
    "walk": Words("Walk test", "走动测试"),
    "walk_how": Words(
        "Walk through every room, slowly. A dot lights up when its sensor has seen you.",
        "请慢慢走过每个房间。感应器看到您后，圆点会亮起。",
    ),
    "walk_wait": Words(
        "Where somebody moved a moment ago, it can take 2 minutes: stay in the room and move on.",
        "刚有人活动过的房间可能要等 2 分钟：请留在房间里继续走动。",
    ),
    "walk_muted": Words(
        "Nothing is switched off meanwhile: a call is a call.", "测试期间一切照常：按呼叫按钮仍会报警。"
    ),
    "walk_begin": Words("Begin the walk", "开始走动测试"),
    "walk_again": Words("Walk once more", "再走一次"),
    "walk_over": Words("The walk is over.", "走动测试已结束。"),
    "walk_none": Words("No movement sensor is here.", "没有人体感应器。"),
    "walk_not_seen": Words("not seen yet", "还没有反应"),
    "walk_all": Words("All sensors have seen you.", "所有感应器都有反应。"),
    "walk_missing": Words(
        "Those that stayed dark: come nearer, look whether something covers it, change its battery, try again.",
        "没有反应的：请走近一些，看看是否被遮挡，换电池后再试。",
    ),
    "walk_done": Words("End the walk", "结束测试"),
}

STATE = {
    "well": Words("works", "正常"),
    "attention": Words("needs you", "需处理"),
    "cannot_tell": Words("cannot tell", "无法判断"),
}

# A sensor by its role, as a name that is offered.
ROLE = {
    "call": Words("Call button", "呼叫按钮"),
    "motion": Words("Movement sensor", "人体感应器"),
    "door": Words("Door sensor", "门磁"),
    "window": Words("Window sensor", "窗磁"),
    "smoke": Words("Smoke alarm", "烟雾报警器"),
    "gas": Words("Gas alarm", "燃气报警器"),
    "carbon_monoxide": Words("Carbon monoxide alarm", "一氧化碳报警器"),
    "moisture": Words("Water sensor", "水浸传感器"),
    "fall": Words("Fall detector", "跌倒检测器"),
    "visit": Words("Visit button", "探访按钮"),
    "blood_pressure": Words("Blood pressure monitor", "血压计"),
    "heart_rate": Words("Heart rate monitor", "心率计"),
    "pulse_oximeter": Words("Pulse oximeter", "血氧仪"),
    "thermometer": Words("Thermometer", "体温计"),
    "weight_scale": Words("Scale", "体重秤"),
    "glucose": Words("Glucose meter", "血糖仪"),
}
UNKNOWN_ROLE = Words("Unknown sensor", "未知设备")
ROOM = {
    "bedroom": Words("bedroom", "卧室"),
    "living": Words("living room", "客厅"),
    "bathroom": Words("bathroom", "卫生间"),
    "kitchen": Words("kitchen", "厨房"),
    "hall": Words("hall", "门厅"),
}
SIGNAL = (
    Words("not known", "未知"),
    Words("very weak: bring it nearer", "很弱，请靠近主机"),
    Words("weak", "较弱"),
    Words("good", "良好"),
    Words("very good", "很好"),
)

# How a sensor is, in one sentence
HUB_NEVER = Words("The hub has never been heard.", "主机从未上线。")
HUB_SILENT = Words(
    "The hub is not heard, so nobody knows how this sensor is.", "主机失联，无法知道此设备是否正常。"
)
BEING_TOLD = Words("The hub is being told of it.", "正在通知主机。")
WIRED = Words("On the hub's own wire.", "有线连接主机。")
UNTESTED = Words("Not pressed for a month. Test it.", "超过一个月未按过，请测试。")
NEVER = Words("Never heard since it was added. Test it.", "添加后从未收到信号，请测试。")
HUB_HEARS = Words("The hub hears it.", "主机能收到它的信号。")
WORKS = Words("Works.", "工作正常。")


def not_since(ago: Words) -> Words:
    """Nothing in the records that go back so far."""
    return Words(f"Not heard since at least {ago.en}. Test it.", f"至少自{ago.zh}起没有信号，请测试。")


def unheard(ago: Words) -> Words:
    """Silent for longer than it should be."""
    return Words(f"Last heard {ago.en}. Test it.", f"最近一次信号在{ago.zh}，请测试。")


def unused(ago: Words) -> Words:
    """A monitor that nobody has used."""
    return Words(f"Last used {ago.en}.", f"最近一次使用在{ago.zh}。")


_FAULTS = {
    k.BATTERY_LOW: Words("Its battery is low. Change it.", "电量低，请更换电池。"),
    k.SENSOR_SILENT: Words(
        "The hub no longer hears it. Change its battery or bring it nearer.",
        "主机收不到它的信号。请更换电池，或移近主机。",
    ),
    k.TAMPER: Words("It was opened or taken off. Look at it.", "设备被打开或取下，请查看。"),
    k.LINE_FAULT: Words("Its wire is broken. Have it mended.", "线路断开，请维修。"),
    k.CONTACT_STUCK: Words(
        "It is stuck. Look whether something presses on it.", "触点卡住，请查看是否被压住。"
    ),
    k.SENSOR_DOUBTED: Words(
        "Its messages are in doubt. Check its key, or have it looked at.",
        "信号可疑。请核对密钥，或请人检查。",
    ),
    k.SENSOR_UNPROVEN: Words(
        "It is heard, but has seen nobody for long. Do the walk test.",
        "有信号，但很久没有感应到人。请做走动测试。",
    ),
    k.MONITOR_FAULT: Words(
        "It gives no readings. Measure once more near the hub.", "没有读数，请在主机附近再测一次。"
    ),
}
_MONITOR = {
    1: Words(
        "It no longer knows the hub. Delete the hub in its settings, remove it here, add it again.",
        "它已不认识主机。请在设备上清除配对，在此移除后重新添加。",
    ),
    2: Words(
        "It refused the hub. Put it into pairing mode, remove it here, add it again.",
        "它拒绝连接主机。请让设备进入配对模式，在此移除后重新添加。",
    ),
    3: Words(
        "It ended the link three times before a reading came. Measure nearer to the hub.",
        "连续三次未传完读数就断开，请靠近主机测量。",
    ),
    4: Words("Its readings cannot be understood. This model does not fit.", "无法识别其读数，型号不兼容。"),
    5: Words(
        "It keeps to another device, such as a phone. Delete it there, then measure again.",
        "它只连接另一台设备（如手机）。请在那里删除后再测量。",
    ),
}
_FAULT = Words("Something is wrong with it. Have it looked at.", "设备故障，请检查。")


def fault(kind: int, detail: int) -> Words:
    """What is wrong with a sensor, and what to do."""
    if kind == k.MONITOR_FAULT and detail in _MONITOR:
        return _MONITOR[detail]
    return _FAULTS.get(kind, _FAULT)
