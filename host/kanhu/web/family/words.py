"""What all of the families' pages say, in English and in Chinese; what one says stands in words_<page>.py."""

from __future__ import annotations

from collections.abc import Mapping

from kanhu.care.rules.values import Words
from kanhu.web.words import HTML_LANG as HTML_LANG
from kanhu.web.words import LANGUAGES as LANGUAGES
from kanhu.web.words import Language as Language

COMMON: dict[str, Words] = {
    "product": Words("Kanhu", "看护"),
    "other_language": Words("中文", "English"),
    "to_content": Words("Skip to the content", "跳到正文"),
    "home": Words("Home", "首页"),
    "sensors": Words("Sensors", "设备"),
    "readings": Words("Health", "健康"),
    "more": Words("More", "更多"),
    "back": Words("Back", "返回"),
    "save": Words("Save", "保存"),
    "done": Words("Done", "完成"),
    "cancel": Words("Cancel", "取消"),
    "not_connected": Words(
        "Not connected: what you see may be old. Trying again.", "连接中断，所见内容可能已过时。正在重连。"
    ),
    "nothing_title": Words("Nothing to see here", "此处没有内容"),
    "nothing": Words(
        "This link shows nothing. Scan the code on the hub once more, or ask whoever installed it.",
        "此链接没有可显示的内容。请重新扫描主机上的二维码，或联系安装人员。",
    ),
    "problem_title": Words("That did not work", "未能完成"),
    "old_form": Words(
        "This page was open for too long. Go back and try once more.", "页面停留时间过长，请返回后重试。"
    ),
    "not_saved": Words(
        "This could not be saved just now. Nothing was changed; try again in a minute.",
        "暂时无法保存，未作任何更改，请稍后再试。",
    ),
    "broken": Words(
        "Something went wrong here. Calls are not touched by this; try again.",
        "页面出错，呼叫功能不受影响，请重试。",
    ),
    "busy": Words("Too many pages are open. Close some of them.", "打开的页面过多，请关闭一些。"),
}


def text(more: Mapping[str, Words], language: Language) -> dict[str, str]:
    """What a template says: COMMON and the page's own, in one language."""
    return {key: words.zh if language == "zh" else words.en for key, words in {**COMMON, **more}.items()}
