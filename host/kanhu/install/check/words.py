"""What each finding says, and what to try, to installers and families."""

from __future__ import annotations

from typing import Any, Literal

from kanhu.care.rules.past import Device
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import room_words
from kanhu.web.family.sensors import kind
from kanhu.web.family.words_sensors import pairing

from .findings import Finding

Lang = Literal["zh", "en"]

STEPS: dict[str, Words] = {
    "hub": Words("Hub", "主机"), "firmware": Words("Firmware", "固件"), "clock": Words("Clock", "时钟"),
    "link": Words("Network", "网络"), "mains": Words("Mains", "市电"), "alarm": Words("Alarm", "报警"),
    "fault": Words("Fault", "故障"), "path": Words("Daily test call", "每日自检"),
    "survey": Words("Survey", "信号检测"), "sensor": Words("Signal", "信号"),
    "battery": Words("Battery", "电量"), "press": Words("Test press", "按钮测试"),
    "walk": Words("Walk test", "走动测试"),
}  # fmt: skip
VERDICTS: dict[str, Words] = {
    "good": Words("good", "正常"), "remark": Words("remark", "注意"), "failed": Words("failed", "不合格"),
    "skipped": Words("skipped", "跳过"), "untested": Words("not tested", "未测试"),
    "passed": Words("passed", "验收合格"),
    "passed_with_remarks": Words("passed with remarks", "合格（有备注）"),
}  # fmt: skip

_DUE = "{count} of {due} beacons in {seconds} s"
_DUE_ZH = "{seconds} 秒内收到 {count}/{due} 次"
SAID: dict[tuple[str, str], Words] = {
    ("hub", "heard"): Words("heard {seconds} s ago", "{seconds} 秒前有信号"),
    ("hub", "silent"): Words("not heard", "无信号"),
    ("firmware", "runs"): Words("{version}, slot {slot}", "{version}，分区 {slot}"),
    ("firmware", "trial"): Words("{version}, slot {slot}, on trial", "{version}，分区 {slot}，试运行中"),
    ("firmware", "safe"): Words("{version}, the factory's: safe mode", "{version}，出厂版本：安全模式"),
    ("clock", "synced"): Words("set by {source}", "已同步（{source}）"),
    ("clock", "off"): Words("{off_s} s off this computer's", "与本机相差 {off_s} 秒"),
    ("clock", "unknown"): Words("the hub does not know the time", "主机没有时间"),
    ("link", "good"): Words("{link}, Wi-Fi {rssi_dbm} dBm", "{link}，Wi-Fi {rssi_dbm} dBm"),
    ("link", "weak"): Words("{link}, weak Wi-Fi: {rssi_dbm} dBm", "{link}，Wi-Fi 信号弱：{rssi_dbm} dBm"),
    ("link", "other"): Words("{link}", "{link}"),
    ("mains", "present"): Words("present", "正常"),
    ("mains", "lost"): Words("lost: it runs from its battery", "断电：正在用电池"),
    ("mains", "not_sensed"): Words("not sensed (no wire for it)", "未接检测线"),
    ("alarm", "stands"): Words("{count} not closed", "{count} 个未结束"),
    ("fault", "stands"): Words("{fault} stands", "未恢复：{fault}"),
    ("path", "proven"): Words("came through in {span_ms} ms", "往返 {span_ms} 毫秒"),
    ("path", "by_press"): Words("not yet; the test press came through", "尚未到时间；按钮测试已送达"),
    ("path", "not_yet"): Words("not yet", "尚未进行"),
    ("path", "late"): Words("none for more than a day", "超过一天没有自检"),
    ("path", "failed"): Words("the last one failed: {why}", "最近一次失败：{why}"),
    ("survey", "failed"): Words("not possible: {why}", "无法进行：{why}"),
    ("survey", "skipped"): Words("skipped: {reason}", "跳过：{reason}"),
    ("sensor", "good"): Words(_DUE, _DUE_ZH),
    ("sensor", "weak"): Words("weak: " + _DUE, "信号弱：" + _DUE_ZH),
    ("sensor", "only_used"): Words(
        "heard only when it is used; nobody notices when its battery is empty",
        "只在使用时有信号；电池用完无法察觉",
    ),
    ("sensor", "asleep"): Words("asleep until it measures", "测量时才有信号"),
    ("sensor", "silent"): Words("not heard", "无信号"),
    ("battery", "good"): Words("{percent} %", "{percent}%"),
    ("battery", "low"): Words("low: {percent} %", "电量低：{percent}%"),
    ("press", "answered"): Words(
        "stored after {stored_ms} ms, at the centre after {delivered_ms} ms",
        "{stored_ms} 毫秒已保存，{delivered_ms} 毫秒到达中心",
    ),
    ("press", "failed"): Words("not proven: {why}", "未通过：{why}"),
    ("press", "none"): Words("this home has no call button", "没有呼叫按钮"),
    ("press", "skipped"): Words("skipped: {reason}", "跳过：{reason}"),
    ("walk", "seen"): Words("has seen you ({count})", "已感应（{count} 次）"),
    ("walk", "not_seen"): Words("has not seen you", "没有感应到"),
    ("walk", "skipped"): Words("skipped: {reason}", "跳过：{reason}"),
}
TRY: dict[tuple[str, str], Words] = {
    ("hub", "silent"): Words(
        "is it plugged in, its network up, and the daemon running?", "请检查电源、网络和后台程序"
    ),
    ("firmware", "safe"): Words(
        "kanhu update start, or flash it anew", "请升级（kanhu update start）或重新刷写"
    ),
    ("firmware", "trial"): Words("wait until its test call has proven it", "请等待自检通过"),
    ("clock", "unknown"): Words(
        "is a time server reached? See ntp in its settings", "请检查能否连接时间服务器"
    ),
    ("clock", "off"): Words("is this computer's own clock right?", "请检查本机时钟"),
    ("link", "weak"): Words("move the hub nearer to the router, or add one", "请把主机移近路由器"),
    ("mains", "lost"): Words("plug it in; look at the adapter", "请插好电源，检查适配器"),
    ("alarm", "stands"): Words("a person has to answer and close it first", "请先由人员受理并结束"),
    ("fault", "stands"): Words(
        "docs/technical-faults.md says what each means", "见 docs/technical-faults.md"
    ),
    ("path", "not_yet"): Words(
        "it comes by itself within 15 minutes of the hub's start", "主机启动后 15 分钟内自动进行"
    ),
    ("path", "failed"): Words("does the platform acknowledge events?", "请检查平台是否确认事件"),
    ("path", "late"): Words("is the hub's setting proof 0?", "请检查主机的 proof 设置"),
    ("sensor", "weak"): Words(
        "move it or the hub: away from metal, nearer to each other", "请移近或避开金属"
    ),
    ("sensor", "silent"): Words(
        "change its battery; is it the one that was paired?", "请更换电池，或重新配对"
    ),
    ("battery", "low"): Words("change it now", "请更换电池"),
    ("press", "failed"): Words(
        "a button on a wire: is the wire firm, and on the pin of its settings (docs/wiring.md)?",
        "有线按钮：请检查接线和引脚设置（docs/wiring.md）",
    ),
    ("press", "none"): Words("pair one: kanhu pair HUB", "请先配对：kanhu pair HUB"),
    ("walk", "not_seen"): Words(
        "is it aimed at where people walk, and not covered? No PIR is wired at all: "
        "kanhu registry hub settings HUB pirs=[]",
        "请检查朝向和是否被遮挡。没有接有线人体感应：kanhu registry hub settings HUB pirs=[]",
    ),
}

# What the installer is told to do
STARTING = Words("waiting for the hub: {left} s left", "正在等待主机：还有 {left} 秒")
SURVEYING = Words("the hub listens to its sensors: {left} s left", "主机正在检测信号：还有 {left} 秒")
WALK = Words("now walk past: {titles} ({left} s left)", "请从这些感应器前走过：{titles}（还有 {left} 秒）")
TELLING = Words("the hub is being told; do not press yet", "正在通知主机，请先不要按")
PRESS = Words(
    "now press once: {title} (a second press would be a call; {left} s left)",
    "请按一下：{title}（再按就是真的呼叫；还有 {left} 秒）",
)
CENTRE = Words("it is kept here; waiting for the centre's receipt", "已保存，等待中心回执")
AGAIN = Words("Once more?", "再试一次？")
RECORDED = Words("record {digest}", "记录 {digest}")
NOT_RECORDED = Words(
    "not signed, so not recorded: give --by and --key", "未签名，所以没有记录：请给出 --by 和 --key"
)
PAGE_IS = Words("the family's page is {path}", "给家人的说明在 {path}")


def pick(words: Words, lang: Lang, **values: Any) -> str:
    """In one language, with its values."""
    return (words.zh if lang == "zh" else words.en).format(**values)


def title(device: Device, lang: Lang) -> str:
    """What people call a sensor: its name, else its room and what it is."""
    what = pick(kind(device.role), lang)
    name = device.name.strip() or what
    room = pick(room_words(device.room), lang) if device.room.strip() else ""
    if not room:
        return name if device.name.strip() else f"{what} {device.index}"
    return f"{room} · {name}"


def said(finding: Finding, lang: Lang) -> str:
    """What was found, without whose it is."""
    words = SAID[finding.step, "skipped" if finding.verdict == "skipped" else finding.what]
    values = finding.values
    if lang == "zh" and values.get("code"):  # pairing's reasons are English, and have a code
        values = {**values, "why": pairing(values["code"]).zh}
    text = pick(words, lang, **values)
    if "median_dbm" in finding.values:
        text += f", {finding.values['median_dbm']} dBm"
    return text


def cure(finding: Finding, lang: Lang) -> str:
    """What to try; empty where there is nothing to be put right."""
    words = TRY.get((finding.step, finding.what))
    return pick(words, lang) if words is not None and finding.verdict in ("remark", "failed") else ""
