"""Pieces of sentences in English and Chinese: times, spans, rooms, sensors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from .hours import DAY_MS, HOUR_MS, MINUTE_MS
from .past import Device
from .values import Words

# What people call a room: what it is known as, then English and Chinese, then other names for it.
ROOMS = {
    "bathroom": (
        "bathroom",
        "卫生间",
        "bath",
        "toilet",
        "wc",
        "washroom",
        "shower",
        "浴室",
        "厕所",
        "洗手间",
    ),
    "bedroom": ("bedroom", "卧室", "bed", "主卧", "次卧", "睡房", "房间"),
    "kitchen": ("kitchen", "厨房"),
    "living": ("living room", "客厅", "living", "livingroom", "lounge", "sitting room", "起居室"),
    "hall": ("hall", "门厅", "hallway", "entrance", "corridor", "玄关", "走廊", "过道"),
    "dining": ("dining room", "餐厅", "dining", "diningroom", "饭厅"),
    "study": ("study", "书房", "office"),
    "balcony": ("balcony", "阳台"),
}
_KNOWN = {name: room for room, names in ROOMS.items() for name in (room, *names)}
ROLES = {
    "motion": Words("sensor", "传感器"),
    "door": Words("door", "门"),
    "window": Words("window", "窗"),
    "call": Words("call button", "呼叫按钮"),
}
WHY = {
    "hub": Words("the hub is not heard", "网关无信号"),
    "warm_up": Words("just started", "刚启动"),
    "never": Words("never heard", "从未收到信号"),
    "unproven": Words("nothing shows that it still sees movement", "无法确认是否仍能感应"),
    "unsupervised": Words("its supervision time is not known", "未设置监测周期"),
    "restless": Words("reports movement without a pause", "持续误报活动"),
    "silent": Words("silent", "无信号"),
    "stuck": Words("stuck", "信号卡住"),
    "line": Words("wire fault", "线路故障"),
    "tamper": Words("tampered with", "被拆动"),
    "doubted": Words("its messages are doubted", "信号可疑"),
    "battery": Words("battery low", "电池电量低"),
    "lost": Words("events were lost", "有数据丢失"),
}
_FAULT = Words("out of order", "故障")


def known_room(room: str) -> str:
    """What a room is known as ("bathroom" for 卫生间), or its own name."""
    name = " ".join(room.strip().lower().split())
    return _KNOWN.get(name) or _KNOWN.get(name.rstrip(" 0123456789"), name)


def room_words(room: str) -> Words:
    """A room's name."""
    names = ROOMS.get(known_room(room))
    if names is None:
        return Words(room.strip(), room.strip())
    written = room.strip()
    if any("\u4e00" <= letter <= "\u9fff" for letter in written):
        return Words(names[0], written)
    return Words(written.lower(), names[1])


def device_words(device: Device) -> Words:
    """What a family calls a sensor: its own name, else its room and what it is."""
    if device.name.strip():
        return Words(device.name.strip(), device.name.strip())
    role = ROLES.get(device.role, ROLES["motion"])
    if device.room.strip():
        room = room_words(device.room)
        return Words(f"{room.en} {role.en}", f"{room.zh}{role.zh}")
    return Words(f"{role.en} {device.index}", f"{role.zh}{device.index}")


def why_words(why: str) -> Words:
    """What is wrong with a sensor."""
    return WHY.get(why, _FAULT)


def time_words(at_ms: int, now_ms: int, zone: ZoneInfo) -> Words:
    """A moment on the home's clock, with the day when it is not today's."""
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    days = datetime.fromtimestamp(now_ms / 1000, zone).toordinal() - at.toordinal()
    clock = f"{at:%H:%M}"
    if days == 0:
        return Words(clock, clock)
    if days == 1:
        return Words(f"{clock} yesterday", f"昨天{clock}")
    if days == -1:
        return Words(f"{clock} tomorrow", f"明天{clock}")
    return Words(f"{clock} on {at.day} {_MONTHS[at.month - 1]}", f"{at.month}月{at.day}日{clock}")


def span_words(span_ms: int) -> Words:
    """A length of time."""
    total = max(0, span_ms) // MINUTE_MS
    days, hours, left = total // 1440, total // 60 % 24, total % 60
    if days:
        more = f" {hours} h" if hours else ""
        return Words(f"{days} d{more}", f"{days}天" + (f"{hours}小时" if hours else ""))
    if hours:
        more = f" {left} min" if left else ""
        return Words(f"{hours} h{more}", f"{hours}小时" + (f"{left}分钟" if left else ""))
    return Words(f"{left} min", f"{left}分钟")


def ago_words(at_ms: int, now_ms: int) -> Words:
    """How long ago something was heard."""
    if now_ms - at_ms < MINUTE_MS:
        return Words("just now", "刚刚")
    span = now_ms - at_ms
    words = span_words(span if span < DAY_MS else span - span % HOUR_MS)
    return Words(f"{words.en} ago", f"{words.zh}前")


def join(parts: Iterable[Words]) -> Words:
    """Parts of one sentence."""
    parts = list(parts)
    return Words("; ".join(one.en for one in parts), "；".join(one.zh for one in parts))


def listing(parts: Iterable[Words]) -> Words:
    """Things named one after the other."""
    parts = list(parts)
    return Words(", ".join(one.en for one in parts), "、".join(one.zh for one in parts))


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
