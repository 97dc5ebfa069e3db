"""What an event is called by people: English, Chinese. By the name in its type."""

from __future__ import annotations

from typing import Any

from kanhu.platform.event import Event

CLASSES = {
    "p1": ("life", "生命"),
    "p2": ("welfare", "关怀"),
    "p3": ("technical", "技术"),
    "p4": ("service", "服务"),
    "p5": ("information", "信息"),
}
EVENTS = {
    "call": ("emergency call", "紧急呼叫"),
    "call.unanswered": ("call not answered yet", "呼叫尚无人应答"),
    "fall": ("fall", "跌倒"),
    "smoke": ("smoke", "烟雾"),
    "gas": ("gas", "燃气"),
    "carbon_monoxide": ("carbon monoxide", "一氧化碳"),
    "test_call": ("test call", "自动测试呼叫"),
    "inactivity": ("no activity", "长时间无活动"),
    "vitals.out_of_range": ("vital sign out of range", "体征超限"),
    "water_leak": ("water leak", "漏水"),
    "wandering": ("wandering", "走失"),
    "pre_alarm": ("the elder is being asked", "正在询问老人"),
    "pre_alarm.cancelled": ("the elder says all is well", "老人已确认平安"),
    "no_return": ("not back home", "外出未归"),
    "door.left_open": ("door left open", "门长时间未关"),
    "missed_visit": ("missed visit", "探访未到"),
    "overstay": ("long stay in one room", "单室停留过久"),
    "mains.lost": ("mains lost", "市电中断"),
    "mains.back": ("mains back", "市电恢复"),
    "battery.low": ("battery low", "电池电量低"),
    "battery.ok": ("battery ok", "电池正常"),
    "sensor.silent": ("sensor silent", "传感器失联"),
    "sensor.back": ("sensor back", "传感器恢复"),
    "tamper": ("tamper", "防拆报警"),
    "tamper.restored": ("tamper restored", "防拆恢复"),
    "link.lost": ("link lost", "链路中断"),
    "link.back": ("link back", "链路恢复"),
    "clock.fault": ("clock fault", "时钟故障"),
    "clock.ok": ("clock ok", "时钟正常"),
    "storage.full": ("storage full", "存储已满"),
    "storage.ok": ("storage ok", "存储正常"),
    "identity.fault": ("identity fault", "身份异常"),
    "identity.ok": ("identity ok", "身份正常"),
    "line.fault": ("supervised line fault", "线路故障"),
    "line.ok": ("supervised line ok", "线路正常"),
    "contact.stuck": ("contact stuck", "触点卡住"),
    "contact.released": ("contact released", "触点释放"),
    "hub.silent": ("hub silent", "主机失联"),
    "hub.back": ("hub back", "主机恢复"),
    "events.lost": ("events lost", "事件丢失"),
    "command.refused": ("command refused", "命令被拒绝"),
    "sensor.doubted": ("sensor doubted", "传感器可疑"),
    "path.fault": ("path not proven", "链路自检未通过"),
    "path.ok": ("path proven again", "链路自检恢复"),
    "fault.overdue": ("fault overdue", "故障逾期未处理"),
    "incident.opened": ("incident opened", "群体故障开始"),
    "incident.closed": ("incident closed", "群体故障结束"),
    "sensor.unproven": ("sensor unproven", "传感器有效性未证实"),
    "sensor.proven": ("sensor proven", "传感器有效性已证实"),
    "monitor.fault": ("health monitor gives nothing", "健康设备无数据"),
    "monitor.ok": ("health monitor works again", "健康设备恢复"),
    "update.failed": ("update failed", "固件更新失败"),
    "safe_mode": ("hub in safe mode", "主机进入安全模式"),
    "safe_mode.ended": ("hub out of safe mode", "主机退出安全模式"),
    "boot": ("hub started", "主机启动"),
    "command.done": ("command done", "命令已执行"),
    "clock.set": ("clock set", "时钟已校准"),
    "test.press": ("test press", "测试按键"),
    "paired": ("sensor paired", "传感器已配对"),
    "check_in": ("check-in", "报平安"),
    "away": ("away", "外出"),
    "home": ("home again", "已回家"),
    "walk_test": ("walk test", "步行测试"),
    "service.request": ("service request", "服务请求"),
    "alarm.accepted": ("alarm accepted", "报警已受理"),
    "alarm.closed": ("alarm closed", "报警已结束"),
    "alarm.corrected": ("alarm corrected", "报警已更正"),
    "alarm.reopened": ("alarm open again", "报警重新打开"),
    "alarm.escalated": ("alarm escalated", "报警已升级"),
    "alarm.dispatched": ("help is on the way", "已派人前往"),
    "alarm.on_scene": ("help is there", "人员已到现场"),
    "alarm.handed_over": ("alarm handed over", "报警已移交"),
    "check_out": ("check-out", "签退"),
    "referral": ("referral", "服务转介"),
    "mode.set": ("mode set", "居家模式已设置"),
    "path.proven": ("path proven", "链路自检通过"),
    "rule.hint": ("hint of a rule", "规则提示"),
    "fault.assigned": ("fault assigned", "故障已派单"),
    "fault.closed": ("fault closed", "故障已销号"),
    "pairing.opened": ("pairing open", "配对已开启"),
    "pairing.closed": ("pairing closed", "配对已结束"),
    "sensor.heard": ("sensor heard", "发现传感器"),
    "unpaired": ("sensor unpaired", "传感器已解除配对"),
    "update.progress": ("update under way", "固件更新中"),
    "update.done": ("update done", "固件更新完成"),
    "survey": ("reception of a sensor", "传感器信号测量"),
    "provisioned": ("network settings changed", "网络设置已更新"),
    "installation.accepted": ("installation checked", "安装已验收"),
    "smoke.clear": ("smoke clear", "烟雾解除"),
    "gas.clear": ("gas clear", "燃气解除"),
    "carbon_monoxide.clear": ("carbon monoxide clear", "一氧化碳解除"),
    "water_leak.clear": ("water leak clear", "漏水解除"),
    "door.open": ("door open", "门打开"),
    "door.closed": ("door closed", "门关闭"),
    "window.open": ("window open", "窗打开"),
    "window.closed": ("window closed", "窗关闭"),
    "heartbeat": ("heartbeat", "心跳"),
    "motion": ("motion", "有活动"),
    "motion.count": ("motion count", "活动计数"),
    "still": ("still", "静止"),
    "vitals": ("vital signs", "体征数据"),
    "vitals.invalid": ("no valid reading", "测量无效"),
}
# Of data, in this order, in a line for people: key, English and Chinese with the value at {}.
FACTS = (
    ("device", "device {}", "设备 {}"),
    ("alarm", "alarm {}", "报警 {}"),
    ("operator", "by {}", "受理人 {}"),
    ("reason", "reason {}", "原因 {}"),
    ("count", "count {}", "次数 {}"),
    ("attempt", "said {} times", "第 {} 次提醒"),
    ("detail", "{}", "{}"),
    ("battery_percent", "battery {} %", "电量 {} %"),
    ("rssi_dbm", "signal {} dBm", "信号 {} dBm"),
    ("firmware", "firmware {}", "固件 {}"),
)
# What was measured, by the name in values and invalid; units as people write them.
QUANTITIES = {
    "systolic": ("systolic", "收缩压"),
    "diastolic": ("diastolic", "舒张压"),
    "mean_pressure": ("mean pressure", "平均动脉压"),
    "pulse": ("pulse", "脉率"),
    "oximeter_pulse": ("pulse", "脉率"),
    "heart_rate": ("heart rate", "心率"),
    "oxygen": ("oxygen", "血氧饱和度"),
    "pulse_amplitude": ("pulse amplitude", "脉搏幅度"),
    "temperature": ("temperature", "体温"),
    "weight": ("weight", "体重"),
    "height": ("height", "身高"),
    "body_mass_index": ("body mass index", "体质指数"),
    "glucose": ("glucose", "血糖"),
    "glucose_control": ("control solution", "质控液"),
}
UNITS = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "[in_i]": "in", "kg/m2": "kg/m²"}
UNKNOWN_TIME = ("time unknown", "时间未知")
AGAIN = ("handed out before", "曾经交付")


def language(lang: str) -> int:
    """Index into the pairs above: 0 English, 1 Chinese."""
    return 1 if lang == "zh" else 0


def printable(text: object, limit: int = 200) -> str:
    """One line for a terminal: control characters shown as "?", so that no message can steer it."""
    return "".join(char if char.isprintable() else "?" for char in str(text)[:limit])


def what(event: Event, lang: str) -> str:
    """What happened; the type's own name when there is no word for it."""
    words = EVENTS.get(event.name)
    return words[language(lang)] if words else printable(event.name)


def _quantity(one: dict[str, Any], lang: str) -> str:
    name = one.get("name", one.get("code"))
    words = QUANTITIES.get(name) if isinstance(name, str) else None
    return words[language(lang)] if words else printable(name)


def _readings(event: Event, lang: str) -> list[str]:
    said = []
    for key, form in (
        ("values", "{} {} {}"),
        ("invalid", ("{} not valid ({})", "{}无效（{}）")[language(lang)]),
    ):
        found = event.data.get(key)
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict):
                unit = UNITS.get(str(one.get("unit", "")), one.get("unit", ""))
                value = one.get("value", one.get("special"))
                said.append(form.format(_quantity(one, lang), printable(value), printable(unit)).rstrip())
    return said


def facts(event: Event, lang: str) -> str:
    """What else is known of it, in a few words."""
    said = _readings(event, lang)
    for key, english, chinese in FACTS:
        value = event.data.get(key)
        if isinstance(value, str | int):
            said.append((english, chinese)[language(lang)].format(printable(value)))
    span = event.data.get("span_ms")
    if isinstance(span, int):
        said.append(("over {} s", "时长 {} 秒")[language(lang)].format(span // 1000))
    for key in ("status", "flags"):
        found = event.data.get(key)
        if isinstance(found, list):
            said += [printable(one) for one in found]
    if event.redelivered:
        said.append(AGAIN[language(lang)])
    return (" · ", "，")[language(lang)].join(said)
