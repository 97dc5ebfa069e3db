"""What the first page, the modes' page and the list of more say, in English and in Chinese."""

from __future__ import annotations

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k

TEXT: dict[str, Words] = {
    "home_title": Words("Is everything all right?", "家里好吗？"),
    "last_heard": Words("Hub last heard", "主机最近联系"),
    "last_proven": Words("Way of calls", "呼叫通路"),
    "since": Words("since {}", "自 {} 起"),
    "going_out": Words("Going out", "外出"),
    "visitors": Words("Visitors", "来客人"),
    "hospital": Words("Hospital", "住院"),
    "test_button": Words("Test the call button", "测试呼叫按钮"),
    "add_sensor": Words("Add a sensor", "添加设备"),
    "end_mode": Words("End this now", "现在结束"),
    # Modes
    "modes_title": Words("Going out, visitors, hospital", "外出、来客、住院"),
    "modes_what": Words("What is it?", "是哪种情况？"),
    "modes_until": Words("Until when?", "到什么时候？"),
    "modes_other": Words("Another time", "其他时间"),
    "modes_choose": Words("you choose", "自己选"),
    "modes_date": Words("Date", "日期"),
    "modes_time": Words("Time", "时间"),
    "modes_effect": Words(
        "Until then nobody is watched for long inactivity. The call button still works. It ends by itself.",
        "在此之前不监测长时间无活动；呼叫按钮照常可用；到时自动结束。",
    ),
    "modes_start": Words("Start", "开始"),
    # More
    "more_title": Words("More", "更多"),
    "more_log": Words("What happened", "发生了什么"),
    "more_log_hint": Words("Calls, faults, visits, readings", "呼叫、故障、到访、测量"),
    "more_modes": Words("Going out, visitors, hospital", "外出、来客、住院"),
    "more_modes_hint": Words("So that nobody worries for nothing", "避免误报"),
    "more_data": Words("Your data", "我的数据"),
    "more_data_hint": Words("Take it with you, or have it erased", "导出或删除"),
    "more_settings": Words("PIN and phones", "密码与手机"),
    "more_settings_hint": Words("Who may look at this page", "谁可以查看本页"),
}

SENTENCES: dict[str, Words] = {
    "well": Words("All is well", "一切平安"),
    "alarm": Words("There is an alarm", "有报警"),
    "asking": Words("The elder is being asked whether all is well", "正在询问老人是否平安"),
    "attention": Words("Something needs attention", "有情况需要留意"),
    "cannot_tell": Words("We cannot tell whether all is well", "现在无法判断是否平安"),
    "away": Words("Away: nobody is watched now", "外出中，暂停看护"),
    "hospital": Words("In hospital: nobody is watched now", "住院中，暂停看护"),
}

ANSWERS: dict[int, Words] = {
    k.PRE: Words("It becomes an alarm at {} if nobody answers at home.", "若无人回应，{} 转为报警。"),
    k.OPEN: Words("No person has answered yet.", "尚无人受理。"),
    k.ACCEPTED: Words("A person has answered: an operator, {}.", "已有人受理：值守员，{}。"),
    k.DISPATCHED: Words("A person is on the way, since {}.", "工作人员已出发，{}。"),
    k.ON_SCENE: Words("A person is there, since {}.", "工作人员已到现场，{}。"),
}
ASKED_LATE = Words("Nobody has answered at home: it becomes an alarm now.", "无人回应，即将转为报警。")

UNSAVED = Words(
    "This system cannot save anything now: what you see may be old",
    "系统暂时无法保存记录：所见内容可能已过时",
)
NEVER_HEARD = Words("Never", "从未")
NOT_PROVEN = Words("not proven yet", "尚未验证")

MODES: dict[int, Words] = {
    2: Words("Away", "外出"),
    3: Words("In hospital", "住院"),
    4: Words("Visitors", "来客人"),
    5: Words("Asleep", "休息"),
}
CHIPS: dict[str, Words] = {
    "away": Words("Away", "外出"),
    "visitor": Words("Visitors", "来客人"),
    "hospital": Words("Hospital", "住院"),
}
MODE_UNTIL = Words(
    "{mode} until {until}. The call button still works.", "{mode}，至 {until}。呼叫按钮照常可用。"
)

UNTIL: dict[str, Words] = {
    "evening": Words("This evening", "今天晚上"),
    "morning": Words("Tomorrow morning", "明天早上"),
    "tomorrow": Words("Tomorrow evening", "明天晚上"),
    "days": Words("In 3 days", "3 天后"),
    "week": Words("In a week", "一周后"),
}
CHOOSE_KIND = Words("Choose what it is: away, visitors or hospital.", "请选择：外出、来客人或住院。")
CHOOSE_UNTIL = Words("Choose until when: a date and a time.", "请选择结束的日期和时间。")
TOO_SOON = Words("That time is over. Choose a later one.", "该时间已过，请选择更晚的时间。")
TOO_LATE = Words(
    "That is too far away: 92 days at most. Choose an earlier date.",
    "时间太远：最多 92 天，请选择更早的日期。",
)
