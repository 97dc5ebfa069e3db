"""What a step of a trial says to the installer: one sentence with its cure, in English and Chinese."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from .session import Heard, Settings, Step

WEAK_DBM = -80  # below it frames are lost (the hub's own limit)
MAX_NAMES = 4  # of networks that are named


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


STEPS = {
    "join": Words("joining the network", "连接网络"),
    "address": Words("getting an address", "获取地址"),
    "time": Words("setting the clock", "校准时钟"),
    "broker": Words("reaching the broker", "连接消息服务器"),
    "proof": Words("an event stored by the host", "主机已保存事件"),
    "done": Words("settings kept", "设置已保存"),
}
OK = Words("ok", "成功")
FAILED = Words("failed", "失败")
STAYS = Words("The hub keeps what it had.", "主机仍用原来的设置。")

_SAID = {
    "wrong_password": Words(
        "network {ssid} does not take this password: read it again, upper and lower case matter",
        "网络 {ssid} 的密码不对：请重新核对，注意大小写",
    ),
    "wrong_security": Words(
        "network {ssid} uses a protection that the hub does not speak: set the router to WPA2 or WPA2/WPA3",
        "网络 {ssid} 的加密方式主机不支持：请把路由器设为 WPA2 或 WPA2/WPA3",
    ),
    "no_such_network": Words(
        "the hub sees no network {ssid}: check the name letter by letter (2.4 GHz only){seen}",
        "主机搜不到网络 {ssid}：请逐字核对名称（只支持 2.4 GHz）{seen}",
    ),
    "weak_signal": Words(
        "network {ssid} comes in too weakly{dbm}: put the hub nearer to the router, away from metal, or "
        "use a repeater",
        "网络 {ssid} 信号太弱{dbm}：请把主机移近路由器、远离金属物，或加装中继器",
    ),
    "not_joined": Words(
        "network {ssid} did not let the hub in: start the router again, and see that it is not full or "
        "filtering "
        "addresses",
        "网络 {ssid} 拒绝接入：请重启路由器，检查接入数量上限和地址过滤",
    ),
    "no_address": Words(
        "the network gives the hub no address: switch DHCP on in the router, or start the router again",
        "网络没有给主机分配地址：请打开路由器的 DHCP，或重启路由器",
    ),
    "clock_not_set": Words(
        "the hub cannot learn the time: let it reach its time server (UDP 123), or correct this "
        "computer's clock and "
        "run this again",
        "主机无法校准时间：请放行时间服务器（UDP 123），或校准本电脑的时钟后重试",
    ),
    "dns": Words(
        "the network does not find the broker's name {host}: check the name, or give its address as numbers",
        "网络解析不了服务器名称 {host}：请核对名称，或改用 IP 地址",
    ),
    "broker_unreachable": Words(
        "nothing answers at {host}:{port}: see that the broker runs, and that router and firewall let the "
        "hub through",
        "{host}:{port} 没有应答：请确认服务器在运行，路由器和防火墙已放行",
    ),
    "broker_refused": Words(
        "the broker does not take the credential {user}: write its users anew (kanhu registry export), "
        "and load them",
        "服务器不接受账号 {user}：请重新导出用户（kanhu registry export）并让服务器加载",
    ),
    "tls": Words(
        "the broker's certificate does not convince the hub{more}: give the CA that signed it (--ca), and "
        "the name "
        "that stands in it (--broker)",
        "服务器证书未通过验证{more}：请用 --ca 给出签发它的 CA，并让 --broker 与证书里的名称一致",
    ),
    "not_stored": Words(
        "the broker took the hub, but no host has stored its event: see that kanhu run is up, uses this "
        "broker, and "
        "that hub {hub} stands in its registry with this key",
        "服务器已接受连接，但没有主机保存事件：请确认 kanhu run 在运行、用的是这台服务器，且注册表里有主机"
        " {hub} 及其当前密钥",
    ),
    "not_saved": Words(
        "the hub could not write the settings to its memory: run this again, and replace the board if it "
        "stays so",
        "主机无法写入设置：请重试，仍不行请更换主板",
    ),
    "no_modem": Words(
        "the modem does not answer: see to its power, and to TX, RX and ground (setting `modem`)",
        "调制解调器没有应答：请检查供电以及 TX、RX、地线（设置项 modem）",
    ),
    "no_sim": Words(
        "the modem finds no SIM card: put it in the right way round, with the power off",
        "未检测到 SIM 卡：请断电后按正确方向插入",
    ),
    "pin_needed": Words(
        "the SIM card asks for its PIN: switch the PIN off, in a telephone",
        "SIM 卡要求输入 PIN 码：请先在手机上关闭 PIN 码",
    ),
    "not_registered": Words(
        "the modem finds no network that takes its SIM card: move its antenna to a window, and ask "
        "whether the card is "
        "active",
        "调制解调器无法注册到网络：请把天线移到窗边，并确认 SIM 卡已开通",
    ),
    "no_carrier": Words(
        "the mobile network does not take the call: check the access point name (--apn) and that the card "
        "has data",
        "移动网络拒绝拨号：请核对接入点名称（--apn），并确认 SIM 卡已开通流量",
    ),
}
_SAID["no_network"] = _SAID["not_registered"]
_MOBILE_NOT_JOINED = _SAID["no_carrier"]
_ELSE = Words("the hub says {why}{more}", "主机报告 {why}{more}")
_WARNED = {
    "weak_signal": Words(
        "the signal is weak{dbm}: put the hub nearer to the router while you are here",
        "信号较弱{dbm}：建议现在就把主机移近路由器",
    )
}


def alike(wanted: str, seen: Sequence[Heard]) -> list[str]:
    """Names of networks that may have been meant."""
    by_plain = {one.ssid.casefold().replace(" ", ""): one.ssid for one in reversed(seen)}
    close = difflib.get_close_matches(wanted.casefold().replace(" ", ""), by_plain, MAX_NAMES, 0.6)
    return [by_plain[name] for name in close]


def sentence(step: Step, settings: Settings, hub_id: str, seen: Sequence[Heard] | None = None) -> Words:
    """What a step has to say; empty when all is well. seen: the networks around, where that was asked."""
    if not step.why:
        return Words("", "") if step.ok else _fill(_ELSE, step, settings, hub_id, seen)
    if step.ok:
        said = _WARNED.get(step.why)
        return Words("", "") if said is None else _fill(said, step, settings, hub_id, seen)
    said = _SAID.get(step.why, _ELSE)
    if step.why == "not_joined" and settings.network == "ppp":
        said = _MOBILE_NOT_JOINED
    return _fill(said, step, settings, hub_id, seen)


def _fill(words: Words, step: Step, settings: Settings, hub_id: str, seen: Sequence[Heard] | None) -> Words:
    ssid = repr(settings.wifi[0]) if settings.wifi else "?"
    host, port, user, _ = settings.broker or ("?", "?", None, None)
    near_en = near_zh = ""
    if seen is not None:
        names = alike(settings.wifi[0] if settings.wifi else "", seen)
        near = [repr(name) for name in names] or [repr(one.ssid) for one in seen[:MAX_NAMES]]
        if near:
            near_en = f"; it sees {', '.join(near)}"
            near_zh = f"；附近有 {'、'.join(near)}"
        else:
            near_en, near_zh = "; it sees none at all: is its antenna free?", "；附近没有任何网络：请检查天线"
    more = f" ({step.more})" if step.more else ""
    fields = {
        "ssid": ssid, "host": host, "port": port, "hub": hub_id, "why": step.why or "nothing", "more": more,
        "user": user or "(none)",
        "dbm": "" if step.rssi is None else f" ({step.rssi} dBm; {WEAK_DBM} or more is needed)",
    }  # fmt: skip
    chinese = fields | {
        "dbm": "" if step.rssi is None else f"（{step.rssi} dBm，至少需要 {WEAK_DBM}）",
        "more": f"（{step.more}）" if step.more else "",
        "user": user or "（无）",
    }
    return Words(words.en.format(**fields, seen=near_en), words.zh.format(**chinese, seen=near_zh))
