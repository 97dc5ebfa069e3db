"""What the desk's pages say, in English and in Chinese; scripts of the alarm kinds stand in scripts.py."""

from __future__ import annotations

from typing import Any, Literal

from kanhu.care.condition import STATE_WORDS
from kanhu.care.rules.values import Words
from kanhu.registry.notes import MAX_NOTE

from .scripts import SCRIPTS, Script

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
HTML_LANG = {"en": "en", "zh": "zh-Hans"}  # BCP 47, for the lang attribute

TEXT: dict[str, Words] = {
    # Everywhere
    "product": Words("Kanhu", "看护"),
    "desk": Words("Call desk", "值守台"),
    "wall": Words("Wall view", "大屏"),
    "to_content": Words("Skip to the alarms", "跳到报警列表"),
    "other_language": Words("中文", "English"),
    "signed_in_as": Words("Signed in as", "当前值守员"),
    "sign_out": Words("Sign out", "退出"),
    "whole_area": Words("all regions", "全部区域"),
    "now": Words("Time of the server", "服务器时间"),
    # Log-in
    "sign_in": Words("Sign in", "登录"),
    "operator_id": Words("Operator", "值守员账号"),
    "password": Words("Password", "密码"),
    "sign_in_elsewhere": Words("Sign in with your organisation", "使用单位账号登录"),
    "or": Words("or", "或"),
    "wrong_password": Words(
        "That is not an operator and password known here. Check both and try again.",
        "账号或密码不正确，请核对后重试。",
    ),
    "too_many_tries": Words(
        "Too many tries. Wait a few minutes, then try again.", "尝试次数过多，请过几分钟再试。"
    ),
    "signed_out": Words("You are signed out.", "您已退出。"),
    "session_over": Words("Your session has ended. Sign in again.", "登录已失效，请重新登录。"),
    "not_allowed": Words(
        "Your account may not use the call desk. Ask an administrator.",
        "您的账号无权使用值守台，请联系管理员。",
    ),
    "provider_failed": Words(
        "Your organisation's sign-in did not answer as it should. Try again, or sign in here.",
        "单位账号登录未成功，请重试，或在此登录。",
    ),
    # Connection
    "connecting": Words("Connecting", "正在连接"),
    "connected": Words("Connected", "已连接"),
    "not_connected": Words(
        "Not connected since {time}: this list may be old.", "自 {time} 起连接中断：列表可能已过时。"
    ),
    "trying_again": Words("Trying again by itself.", "正在自动重连。"),
    "back_again": Words("Connected again. The list is fresh.", "已重新连接，列表已更新。"),
    "no_script": Words("This page needs JavaScript.", "本页面需要启用 JavaScript。"),
    # The list
    "waiting": Words("Waiting for a person", "等待受理"),
    "need": Words("{n} waiting, oldest {time}", "{n} 条待受理，最久 {time}"),
    "waiting_none": Words("Nobody is waiting for an answer.", "没有等待受理的报警。"),
    "asking": Words("Being asked at home", "正在询问老人"),
    "asking_hint": Words("Not an alarm yet: the elder can still cancel.", "尚未报警：老人可在家中取消。"),
    "until_raised": Words("until raised", "后自动报警"),
    "asking_over": Words("no answer, being raised", "无应答，即将报警"),
    "with_person": Words("With a person", "处理中"),
    "with_me": Words("with you", "由您处理"),
    "with": Words("with {who}", "由 {who} 处理"),
    "closed_lately": Words("Closed lately", "最近结束"),
    "closed_by": Words("closed by {who}: {reason}", "由 {who} 结束：{reason}"),
    "since_press": Words("since the press", "自按下"),
    "since_raised": Words("since raised", "自报警"),
    "over_60": Words("over 60 s", "已超 60 秒"),
    "over_180": Words("over 3 min", "已超 3 分钟"),
    "pressed_times": Words("pressed {n} times", "按下 {n} 次"),
    "asked_widely": Words("asked up to: {level}", "已上报至：{level}"),
    "part_of_incident": Words("{kind} in many homes of {region}", "{region}多户{kind}"),
    "home": Words("Home", "住户"),
    "accept": Words("Accept", "受理"),
    "open": Words("Open", "查看"),
    "more_waiting": Words("and {n} more, newer than these", "另有 {n} 条较新的报警"),
    # New things, for screen readers and the notice line
    "said_new": Words("New: {kind}, {region}", "新报警：{kind}，{region}"),
    "said_yours": Words("It is yours: {kind}.", "已由您受理：{kind}。"),
    "said_lost_race": Words("{who} has it already.", "{who} 已先受理。"),
    "said_closed_elsewhere": Words("This alarm is closed: {reason}.", "该报警已结束：{reason}。"),
    "said_handed": Words("Handed to {who}.", "已移交给 {who}。"),
    "said_done": Words("Done: {what}.", "已完成：{what}。"),
    "said_refused": Words("Not done: {why}", "未完成：{why}"),
    "said_unreachable": Words(
        "Not known whether it was done: the server did not answer. Look at the list once it is connected.",
        "服务器未应答，是否完成未知。请在连接恢复后查看列表。",
    ),
    # Sound
    "sound_on": Words("Sound on", "声音开"),
    "sound_blocked": Words("Sound is blocked: click to allow", "声音被浏览器阻止：点击允许"),
    "sound_muted": Words("Muted for {time}: click to undo", "静音剩余 {time}：点击恢复"),
    "sound_none": Words("This browser has no sound", "此浏览器无法发声"),
    "mute": Words("Mute 2 min", "静音 2 分钟"),
    "mute_hint": Words("A new call ends it.", "新报警会解除静音。"),
    # Panel
    "panel": Words("The alarm in hand", "当前报警"),
    "beside": Words("Beside the alarms", "报警详情与概况"),
    "shut": Words("Put away", "收起"),
    "person": Words("The person", "老人信息"),
    "person_show": Words("Show who it is", "显示老人信息"),
    "person_asked": Words("Shown once it is an alarm.", "转为报警后方可查看。"),
    "person_hint": Words("Each look is written down.", "每次查看都会留下记录。"),
    "person_loading": Words("Fetching", "正在读取"),
    "person_unavailable": Words("Not available: {why}", "无法显示：{why}"),
    "name": Words("Name", "姓名"),
    "address": Words("Address", "地址"),
    "phones": Words("Phones", "电话"),
    "note": Words("Note", "备注"),
    "note_write": Words("Write a note", "填写备注"),
    "note_keep": Words("Keep it", "保存"),
    "note_by": Words("{who}, {time}", "{who}，{time}"),
    "note_text": Words("What whoever helps has to know", "救助人员需要了解的情况"),
    "note_hint": Words(
        "Such as: key at the neighbour's, hard of hearing. Operators read it while an alarm is open. "
        "Empty: the note is taken away.",
        "例如：钥匙在邻居处、听力不好。仅在报警未结束时值守员可见。留空则删除备注。",
    ),
    "note_too_long": Words("Too long: {n} characters at most.", "内容过长：最多 {n} 个字。"),
    "sensors": Words("Sensors", "传感器"),
    "last_movement": Words("Last movement", "最近活动"),
    "condition": Words("Condition", "状况"),
    "proof": Words("Way of calls proven", "呼叫通路验证"),
    "no_proof": Words("not proven", "未验证"),
    "pressed": Words("Pressed", "触发设备"),
    "equipment": Words("Equipment", "设备情况"),
    "unknown": Words("not known", "不详"),
    "none_given": Words("none given", "未登记"),
    "history": Words("What happened", "经过"),
    "script_ask": Words("Ask", "询问"),
    "script_do": Words("Do", "处置"),
    "not_only_here": Words("Not only here", "不止这一户"),
    "why_raised": Words("Why it was raised", "报警原因"),
    "actions": Words("Actions", "操作"),
    "dispatch": Words("Help is sent", "已派人"),
    "on_scene": Words("Help is there", "已到场"),
    "hand_over": Words("Hand over", "移交"),
    "close": Words("Close", "结束报警"),
    "correct": Words("Correct", "更正"),
    "hand_over_to": Words("Operator who takes it", "接手的值守员"),
    "hand_over_hint": Words("They see it as theirs at once.", "对方立即看到由其处理。"),
    "why_closed": Words("Why it ends", "结束原因"),
    "why_corrected": Words("What it was, rightly", "更正为"),
    "in_words": Words("In your words", "说明"),
    "in_words_hint": Words("No names, addresses or phone numbers.", "请勿填写姓名、地址或电话。"),
    "reason_needed": Words("Choose a reason first.", "请先选择原因。"),
    "text_needed": Words("Say it in your words.", "请填写说明。"),
    "text_too_long": Words("Too long: shorten it.", "内容过长，请缩短。"),
    "to_needed": Words("Choose an operator.", "请选择值守员。"),
    "mode": Words("Home's mode", "住户模式"),
    "mode_is": Words("From now on", "从现在起"),
    "mode_until": Words("Until (empty: as long as such a mode lasts)", "至（留空：按该模式的默认时长）"),
    "mode_past": Words("Choose a moment to come.", "请选择将来的时间。"),
    "nobody_else": Words("No other operator may take it.", "没有其他值守员可接手。"),
    "cancel": Words("Cancel", "取消"),
    # Beside the list
    "homes": Words("Homes", "住户状况"),
    "well": STATE_WORDS["well"],  # the same words wherever a status is shown
    "attention": STATE_WORDS["attention"],
    "cannot_tell": STATE_WORDS["cannot_tell"],
    "homes_old": Words("Not connected: nothing can be said of the homes.", "连接中断：住户状况无法判断。"),
    "incidents": Words("Incidents", "群发事件"),
    "incident_members": Words("{n} homes", "{n} 户"),
    "incident_standing": Words("{n} not back", "{n} 户未恢复"),
    "incident_since": Words("since {time}", "自 {time}"),
    "members": Words("Homes", "住户"),
    "members_of": Words("Homes of this incident", "此事件的住户"),
    "members_page": Words("{from} to {to}, as of {time}", "第 {from}–{to} 条，{time} 查询"),
    "members_none": Words("None, as of {time}", "无，{time} 查询"),
    "members_unavailable": Words("Not to be seen: {why}", "无法显示：{why}"),
    "no_answer": Words("the server does not answer", "服务器未应答"),
    "members_open": Words("Only those not back", "仅未恢复"),
    "members_again": Words("Look again", "重新查询"),
    "members_before": Words("Page before", "上一页"),
    "members_next": Words("Next page", "下一页"),
    "hub": Words("Hub", "主机"),
    "region": Words("Region", "区域"),
    "since": Words("Since", "开始"),
    "came_back": Words("Back", "恢复"),
    "not_back": Words("not back", "未恢复"),
    "faults": Words("Faults as work", "故障工单"),
    "faults_open": Words("open", "未结"),
    "faults_overdue": Words("overdue", "逾期"),
    "today": Words("Today", "今日"),
    "alarms_today": Words("alarms", "报警数"),
    "answered_in": Words("answered in {n} s", "{n} 秒内受理"),
    "field": Words("field: {n} %", "行业：{n}%"),
    "below_field": Words("below the field", "低于行业"),
    "above_field": Words("at the field's level", "达到行业水平"),
    "median": Words("half answered within", "半数受理用时"),
    "no_figure": Words("no alarms yet", "暂无报警"),
    "seconds": Words("{n} s", "{n} 秒"),
    # Wall
    "unanswered": Words("unanswered", "未受理"),
    "alarms_held": Words("with a person", "处理中"),
    "oldest_waits": Words("oldest waits", "最久等待"),
    "nobody_waits": Words("nobody waits", "无人等待"),
    "districts": Words("Districts", "各区域"),
    "districts_none": Words("No district to show yet.", "暂无区域数据。"),
    "oldest_here": Words("oldest {time}", "最久 {time}"),
    "others_quiet": Words("{n} more, nothing unanswered", "另有 {n} 个区域，无未受理报警"),
    "others_busy": Words("{n} more, {unanswered} unanswered", "另有 {n} 个区域，{unanswered} 条未受理"),
    "no_region": Words("no region", "未分区"),
    # Keyboard
    "keyboard": Words("Keys", "快捷键"),
    "key_letters": Words("Single letters work as shortcuts", "启用单字母快捷键"),
    "key_move": Words("up and down the list", "上下移动"),
    "key_accept": Words("accept the chosen alarm, or the oldest", "受理所选报警，或最早的一条"),
    "key_open": Words("open the chosen alarm or incident", "查看所选报警或事件"),
    "key_person": Words("show who it is", "显示老人信息"),
    "key_dispatch": Words("help is sent", "已派人"),
    "key_on_scene": Words("help is there", "已到场"),
    "key_hand_over": Words("hand over", "移交"),
    "key_note": Words("write a note", "填写备注"),
    "key_mode": Words("set the home's mode", "设置住户模式"),
    "key_close": Words("close with a reason", "结束报警并填写原因"),
    "key_mute": Words("mute, or undo it", "静音或恢复"),
    "key_help": Words("this list", "本列表"),
    "key_escape": Words("put away", "收起"),
    "done_reading": Words("Close this", "关闭"),
}

KINDS = {
    "call": Words("Emergency call", "紧急呼叫"),
    "fall": Words("Fall", "跌倒"),
    "smoke": Words("Smoke", "烟雾"),
    "gas": Words("Gas", "燃气泄漏"),
    "carbon_monoxide": Words("Carbon monoxide", "一氧化碳"),
    "inactivity": Words("No movement", "长时间无活动"),
    "overstay": Words("Long stay in one room", "房间滞留过久"),
    "no_return": Words("Not back by night", "夜间未归"),
    "door.left_open": Words("Door left open", "门长时间未关"),
    "missed_visit": Words("Visit missed", "探访未到"),
    "vitals.out_of_range": Words("Vital sign out of its limits", "体征超出设定范围"),
    "water_leak": Words("Water leak", "漏水"),
    "wandering": Words("Wandering", "走失风险"),
    "pre_alarm": Words("Being asked", "正在询问"),
    "mains.lost": Words("No mains power", "停电"),
    "link.lost": Words("Connection lost", "网络中断"),
    "hub.silent": Words("Hub silent", "主机失联"),
    "sensor.silent": Words("Sensor silent", "传感器失联"),
    "battery.low": Words("Battery low", "电量低"),
    "path.fault": Words("Way of calls not proven", "呼叫通路未验证"),
    "tamper": Words("Opened or moved", "设备被拆动"),
    "storage.full": Words("Storage full", "存储已满"),
    "clock.fault": Words("Clock wrong", "时钟异常"),
    "sensor.doubted": Words("Sensor in doubt", "传感器可疑"),
    "sensor.unproven": Words("Sensor not proven", "传感器未验证"),
    "monitor.fault": Words("Health monitor gives nothing", "健康设备无数据"),
    "safe_mode": Words("Hub on its spare program", "主机运行备用程序"),
    "update.failed": Words("Update failed", "固件更新失败"),
    "line.fault": Words("Wire fault", "线路故障"),
    "contact.stuck": Words("Contact stuck", "触点卡住"),
    "identity.fault": Words("Identity in doubt", "身份异常"),
    "events.lost": Words("Events lost", "事件丢失"),
    "command.refused": Words("Command refused", "指令被拒"),
}

STATES = {
    "open": Words("waiting", "待受理"),
    "pre_alarm": Words("being asked", "询问中"),
    "accepted": Words("accepted", "已受理"),
    "dispatched": Words("help is sent", "已派人"),
    "on_scene": Words("help is there", "已到场"),
    "closed": Words("closed", "已结束"),
}

# Steps of an alarm's history beside its states.
STEPS = {
    "opened": Words("pressed or raised", "触发"),
    "raised": Words("raised", "已报警"),
    "asked": Words("the elder is asked", "询问老人"),
    "cancelled": Words("cancelled at home", "老人已取消"),
    "withdrawn": Words("withdrawn", "已撤销"),
    "delivered": Words("at the city platform", "已送达城市平台"),
    "reopened": Words("open again", "重新打开"),
    "escalated": Words("asked more widely", "已升级上报"),
    "handed_over": Words("handed over", "已移交"),
    "corrected": Words("corrected", "已更正"),
}

MODES = {
    "home": Words("at home", "在家"),
    "away": Words("away", "外出"),
    "hospital": Words("in hospital", "住院"),
    "visitor": Words("visitors", "有访客"),
    "sleep": Words("asleep", "睡眠"),
}

LEVELS = {
    "community": Words("community", "社区"),
    "street": Words("street", "街道"),
    "district": Words("district", "区"),
    "city": Words("city", "市"),
}

CLASSES = {"p1": Words("Life", "生命"), "p2": Words("Welfare", "关怀"), "p3": Words("Technical", "技术")}

ROLES = {
    "call": Words("call button", "呼叫按钮"),
    "motion": Words("motion", "人体感应"),
    "door": Words("door", "门磁"),
    "window": Words("window", "窗磁"),
    "smoke": Words("smoke", "烟感"),
    "gas": Words("gas", "燃气"),
    "carbon_monoxide": Words("carbon monoxide", "一氧化碳"),
    "moisture": Words("water", "水浸"),
    "fall": Words("fall", "跌倒检测"),
    "visit": Words("visit button", "探访按钮"),
    "blood_pressure": Words("blood pressure monitor", "血压计"),
    "heart_rate": Words("heart rate monitor", "心率计"),
    "pulse_oximeter": Words("pulse oximeter", "血氧仪"),
    "thermometer": Words("thermometer", "体温计"),
    "weight_scale": Words("scale", "体重秤"),
    "glucose": Words("glucose meter", "血糖仪"),
    "operator": Words("operator", "值守员"),
    "supervisor": Words("supervisor", "班长"),
    "viewer": Words("viewer", "观看"),
}

# Codes of errors (kanhu.web.api) that an operator may meet.
ERRORS = {
    "taken": Words("another operator has it", "已由其他值守员处理"),
    "state": Words("the alarm is no longer in a state that allows this", "报警当前状态不允许此操作"),
    "unknown": Words("there is no such alarm here any more", "该报警已不存在"),
    "not_open": Words("persons are shown only while an alarm is open", "仅在报警未结束时可查看老人信息"),
    "nobody": Words("that operator cannot take alarms of this home", "该值守员无权处理此住户的报警"),
    "role": Words("your role does not allow it", "您的角色无此权限"),
    "mode": Words("that mode cannot be set until then", "无法设置该模式或时间"),
    "not_saved": Words(
        "the journal cannot be written to at this moment; try again", "日志库暂时无法写入，请重试"
    ),
    "note": Words("a note is one short line of printable text", "备注须为一行简短文字"),
    "not_readable": Words(
        "the journal cannot be read at this moment; try again", "日志库暂时无法读取，请重试"
    ),
    "too_many": Words("too many windows of the desk are open; close some", "打开的窗口过多，请关闭一些"),
}

# Who ends an alarm, where that is no operator (kanhu.care).
BY = {
    "home": Words("the elder, at home", "老人本人"),
    "movement": Words("movement at home", "家中有活动"),
    "mode": Words("the home's mode", "住户模式"),
}

# Why an alarm ends, as events carry it (a text may follow: "helped: ..."), in the order they are offered.
REASONS = {
    "helped": Words("Helped, all is well again", "已帮助，情况恢复正常"),
    "emergency_services": Words("Emergency services took over", "急救、消防或公安已接手"),
    "family": Words("Family or neighbour took over", "家属或邻居已接手"),
    "pressed_by_mistake": Words("Pressed by mistake", "误按"),
    "nothing_wrong": Words("Nothing was wrong", "情况正常"),
    "was_away": Words("Was away", "老人外出"),
    "in_hospital": Words("Is in hospital", "老人住院"),
    "had_visitor": Words("Had a visitor", "家中有访客"),
    "needs_care": Words("Needs care at home", "需要居家照护"),
    "needs_meals": Words("Needs meals brought", "需要送餐"),
    "needs_doctor": Words("Needs a doctor's visit, no emergency", "需要医生上门（非紧急）"),
    "needs_repair": Words("Needs something repaired", "需要维修"),
    "needs_visit": Words("Needs a visit", "需要探访"),
    "test": Words("A test", "测试"),
    "equipment": Words("Fault of the equipment", "设备故障"),
    "other": Words("Other", "其他"),
}
NEED_TEXT = ("other",)  # reasons that say nothing without words


def _of(table: dict[str, Words], at: int) -> dict[str, str]:
    return {key: words[at] for key, words in table.items()}


def _script(script: Script, at: int) -> dict[str, list[str]]:
    return {"ask": [line[at] for line in script.ask], "do": [line[at] for line in script.do]}


def pack(language: Language) -> dict[str, Any]:
    """All words of one language as the pages' scripts read them."""
    at = LANGUAGES.index(language)
    return {
        "language": language,
        "text": _of(TEXT, at),
        "kinds": _of(KINDS, at),
        "states": _of(STATES, at),
        "steps": _of(STEPS, at),
        "levels": _of(LEVELS, at),
        "modes": [[key, words[at]] for key, words in MODES.items()],  # a list: in this order
        "classes": _of(CLASSES, at),
        "roles": _of(ROLES, at),
        "by": _of(BY, at),
        "errors": _of(ERRORS, at),
        "reasons": [[key, words[at]] for key, words in REASONS.items()],
        "need_text": list(NEED_TEXT),
        "most_note": MAX_NOTE,
        "scripts": {kind: _script(script, at) for kind, script in SCRIPTS.items()},
    }


def page(language: Language) -> dict[str, Any]:
    """What every template needs: lang, other_language, text (key -> words), and words for the scripts."""
    words = pack(language)
    return {
        "lang": HTML_LANG[language],
        "language": language,
        "other_language": "zh" if language == "en" else "en",
        "text": words["text"],
        "words": words,
    }


def language_of(accept: str, default: Language = "en") -> Language:
    """The language of an Accept-Language header, for who has not signed in yet; default when none fits."""
    found: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accept.lower().split(",")):
        tag, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        main = tag.split("-")[0]
        if main in LANGUAGES and weight > 0:
            found.append((-weight, place, "zh" if main == "zh" else "en"))
    return min(found)[2] if found else default
