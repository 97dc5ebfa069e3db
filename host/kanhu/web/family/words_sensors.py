"""What the families' pages say of sensors: the list, adding, testing, the walk."""

from __future__ import annotations

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k

from . import words_monitors

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
    "colon": Words(": ", "："),
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
    "no_answer_yet": Words(
        "The hub does not answer yet. Look whether its lamp is on and it has network.",
        "主机还没有回应。请查看主机是否通电、联网。",
    ),
    "needs_key": Words("It needs its key.", "需要设备密钥。"),
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
    "scan": Words("Photograph its code", "拍摄二维码"),
    "scan_none": Words(
        "No code was found in the picture. Go closer, or type the key.",
        "照片中未找到二维码，请靠近再拍，或直接输入密钥。",
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
    "on_its_way": Words("It was heard. One moment more.", "已收到，请再稍等。"),
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
        "Where it stayed dark: come nearer, look whether something covers it, change its battery, try again.",
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
_FAULT = Words("Something is wrong with it. Have it looked at.", "设备故障，请检查。")


def fault(kind: int, detail: int) -> Words:
    """What is wrong with a sensor, and what to do."""
    if kind == k.MONITOR_FAULT:
        return words_monitors.fault(detail)
    return _FAULTS.get(kind, _FAULT)


# Why a sensor cannot be had, or what a hub says of it (codes of kanhu.pairing)
LONG = Words("That is too long, or has signs that cannot be shown.", "内容过长，或含有无法显示的字符。")
_AGAIN = Words("That did not work. Try once more.", "未能完成，请再试一次。")
PAIRING = {
    "key_needed": Words(
        "Its key is needed: 32 letters and digits from its app or QR code.",
        "需要设备密钥：设备应用或二维码中的 32 位字母数字。",
    ),
    "wrong_key": Words(
        "This key does not fit this sensor. Look once more, and copy all of it.",
        "密钥与此设备不符，请核对并完整复制。",
    ),
    "no_role": Words("Choose what it is.", "请选择设备类型。"),
    "not_heard": Words(
        "The hub has not heard it. Press it near the hub.", "主机没有收到它的信号，请在主机附近按一下。"
    ),
    "elsewhere": Words("It belongs to another home.", "此设备属于其他住户。"),
    "here": Words("It is here already.", "此设备已添加。"),
    "home": Words("It is at the other hub of this home.", "此设备已连接本户另一台主机。"),
    "another_kind": Words(
        "It is of another kind. Remove the old one and add this one.",
        "类型不同。请移除旧设备，再添加此设备。",
    ),
    "no_window": Words("That took too long. Search once more.", "时间过长，请重新搜索。"),
    "no_key": Words("It needs no key. Search once more.", "此设备不需要密钥，请重新搜索。"),
    "full": Words("This hub holds no more sensors. Remove one first.", "此主机的设备已满，请先移除一个。"),
    "not_added": Words(
        "It could not be added. If the hub is full, remove a sensor first.",
        "未能添加。如主机设备已满，请先移除一个。",
    ),
    "revoked": Words("This hub is no longer in use.", "此主机已停用。"),
    "no_proof": Words("No test is under way. Begin again.", "当前没有测试，请重新开始。"),
    "replaced": Words("Somebody has begun something else on this hub.", "有人在此主机上开始了其他操作。"),
    "ended": Words("It was ended.", "已停止。"),
    "by_command": Words("The search was ended.", "搜索已停止。"),
    "proving": Words("A sensor is being tested now.", "正在测试设备。"),
    "expired": Words("The time is over.", "时间到了。"),
    "alarm": Words(
        "There was a call. A person looks after it first; then try again.", "有呼叫，需先处理呼叫，然后再试。"
    ),
    "pressed": Words("There was a press. Try again.", "有人按了按钮，请再试一次。"),
    "restarted": Words(
        "The hub has started again. A press is a call again. Try once more.",
        "主机已重启，此时按键就是呼叫。请再试一次。",
    ),
    "unpaired": Words("The sensor was removed.", "设备已移除。"),
    "no_answer": Words(
        "The hub does not answer. Look whether its lamp is on and it has network.",
        "主机没有回应，请查看主机是否通电、联网。",
    ),
    "nothing": Words(
        "Nothing came from the sensor. Come nearer to the hub or change its battery, then try again.",
        "没有收到设备信号。请靠近主机或更换电池，再试一次。",
    ),
    "no_platform": Words(
        "The server has it, but the city's platform has not confirmed it. Try again later.",
        "服务器已保存，但城市平台尚未确认，请稍后再试。",
    ),
    "refused_1": Words(
        "The hub's program is too old for this. Ask whoever installed it.", "主机程序过旧，请联系安装人员。"
    ),
    "refused_3": Words(
        "The hub has no room just now. Try again in a minute.", "主机暂时繁忙，请一分钟后再试。"
    ),
    "refused_4": Words(
        "The hub's clock is being set. Try again in a minute.", "主机正在校准时间，请一分钟后再试。"
    ),
    "refused_5": Words(
        "There is a call at this hub. A person has to answer it first.", "此主机有呼叫，需先处理。"
    ),
    "refused_6": Words("The hub cannot test this one.", "主机无法测试此设备。"),
    "refused_7": Words(
        "The button is pressed already. Let it go. If nobody holds it, have it looked at.",
        "按钮正被按着，请松开。若没有人按，请检修。",
    ),
}
WHOSE = {
    "here": TEXT["is_here"], "home": TEXT["other_hub"], "elsewhere": TEXT["is_elsewhere"],
}  # fmt: skip


def pairing(code: str) -> Words:
    """What pairing says, by its code."""
    return PAIRING.get(code, _AGAIN)


def window_over(why: str) -> Words:
    """Why nothing is listened for any more; empty: it never was."""
    return pairing(getattr(why, "code", "") or why or "expired")


# What to do for a test, by role
_PRESS = Words("Press the button once now.", "现在请按一下按钮。")
_MEASURE = Words("Measure now, near the hub.", "现在请在主机附近测量一次。")
_WAKE = Words(
    "Wake it now, near the hub. Not by its test button: that would be a real alarm.",
    "现在请在主机附近唤醒它。不要按它的测试键，那会真的报警。",
)
READY = {
    "call": _PRESS,
    "visit": Words("Press it once now.", "现在请按一下。"),
    "motion": Words("Walk past it now. It can take up to a minute.", "现在请从它前面走过，最多等一分钟。"),
    "door": Words("Open the door now, and close it.", "现在请开门，再关门。"),
    "window": Words("Open the window now, and close it.", "现在请开窗，再关窗。"),
    "weight_scale": Words("Step on the scale now.", "现在请站上体重秤。"),
    **dict.fromkeys(("smoke", "gas", "carbon_monoxide", "moisture", "fall"), _WAKE),
}


def ready(role: str) -> Words:
    """What a person does now, so that a sensor of this role shows that it works."""
    return READY.get(role, _MEASURE)


def seen_ago(span_ms: int, step_s: int) -> Words:
    """When a sensor last saw somebody, in steps of so many seconds."""
    seconds = max(0, span_ms) // 1000 // step_s * step_s
    if seconds < step_s:
        return Words("seen just now", "刚刚看到")
    if seconds < 60:
        return Words(f"seen {seconds} s ago", f"{seconds} 秒前看到")
    return Words(f"seen {seconds // 60} min ago", f"{seconds // 60} 分钟前看到")


def lit(count: int, of: int) -> Words:
    """How many sensors have seen somebody."""
    if count == of:
        return TEXT["walk_all"]
    if not count:
        return Words("None has seen you yet.", "还没有感应器看到您。")
    return Words(f"{count} of {of} have seen you.", f"{of} 个感应器中，{count} 个看到了您。")
