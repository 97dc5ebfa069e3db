"""What the pages of a home's data say: what is held, taking it along, having it erased."""

from __future__ import annotations

from kanhu.care.rules.values import Words

TEXT: dict[str, Words] = {
    "data_title": Words("Your data", "我的数据"),
    "held_title": Words("What is kept of this home", "本户保存了哪些数据"),
    "held_who": Words(
        "Name, address and phone numbers, and notes for helpers", "姓名、地址、电话，以及给帮助者的备注"
    ),
    "held_sensors": Words("The sensors, where they are and who wears them", "设备、所在房间和使用者"),
    "held_calls": Words(
        "Calls and alarms, who answered them and how they ended", "呼叫和报警、由谁处理、结果如何"
    ),
    "held_said": Words(
        "What the sensors have said: movement, doors, readings of health monitors",
        "设备上报的活动、门窗和健康数据",
    ),
    "held_care": Words(
        "Going out, visits, limits, and who has looked at the data", "外出、来访、限值，以及谁查看过数据"
    ),
    "export_title": Words("Take it along", "导出数据"),
    "export_what": Words(
        "One file with all of it. It names people: keep it safe. If this app does not save it, open the page "
        "in your browser.",
        "全部数据保存为一个文件，其中包含个人信息，请妥善保管。若当前应用无法下载，请用浏览器打开本页。",
    ),
    "export": Words("Download everything", "下载全部数据"),
    "pin": Words("The family's PIN", "家庭密码"),
    "erase_title": Words("Erase everything", "删除全部数据"),
    "erase_what": Words(
        "Ends the service for this home: its data is deleted and the hub calls nobody any more.",
        "终止本户服务：数据全部删除，主机不再呼叫任何人。",
    ),
    "erase_begin": Words("Go on to erasing", "前往删除"),
    "erase_grave": Words(
        "From that moment the hub calls nobody any more. A press of its button reaches no one.",
        "删除后，主机将不再呼叫任何人，按下按钮也无人应答。",
    ),
    "erase_all": Words(
        "Deleted for ever: everything under Your data, the PIN, and this page. Nobody can bring it back.",
        "“我的数据”中的全部内容、密码和本页面将被永久删除，无法恢复。",
    ),
    "erase_rest": Words(
        "Not deleted from here: what the service's own platform was told before, and its backups. "
        "Ask the service.",
        "服务平台此前收到的信息及备份不在此处删除，请联系服务机构。",
    ),
    "erase_alarms": Words(
        "An alarm of this home is open. Look after the person first; when the alarm is closed, "
        "you can erase.",
        "本户有未结束的报警。请先照看家人，报警结束后才能删除。",
    ),
    "erase_sure": Words("I know: this hub will call nobody any more.", "我已了解：主机将不再呼叫任何人。"),
    "erase": Words("Erase everything now", "立即删除全部数据"),
    "keep": Words("No, keep it", "不删除"),
    "erased_title": Words("Everything is erased", "数据已删除"),
    "erased": Words(
        "The hub calls nobody any more: take it down. This page is closed for good.",
        "主机不再呼叫任何人，可以拆下。本页面已关闭。",
    ),
    "erased_rest": Words(
        "The last things that the service has not been told yet are passed on first, then deleted, too.",
        "尚未送达服务机构的最后几条记录会先送达，随后一并删除。",
    ),
}
NOT_SURE = Words(
    "Tick that you know the hub will call nobody any more. Nothing was erased.",
    "请先勾选“我已了解”。尚未删除任何数据。",
)
EXPORTING = Words(
    "A file of this home is being written just now. Wait a minute.", "正在生成文件，请稍候再试。"
)
NOT_WRITTEN = Words(
    "The file could not be written: the host has no room, or its disk fails. Tell whoever runs it.",
    "无法生成文件：服务器磁盘空间不足或故障，请联系管理人员。",
)
