"""What stands before the families' page, in English and in Chinese: the claim, the PIN, and settings."""

from __future__ import annotations

from kanhu.care.rules.values import Words

TEXT: dict[str, Words] = {
    # The first time
    "claim_title": Words("First visit", "首次使用"),
    "claim_what": Words(
        "Go to the hub and tap below. This page then says when to press its call button: that shows that you "
        "are in the home.",
        "请走到主机旁，点下面的按钮，然后按页面提示按一下主机上的呼叫键，以确认您就在家中。",
    ),
    "claim_begin": Words("I am at the hub: begin", "我在主机旁，开始"),
    "claim_press": Words("Press the call button on the hub once, now.", "请现在按一下主机上的呼叫键。"),
    "claim_asked": Words("Asking the hub. Do not press yet.", "正在联系主机，请先不要按键。"),
    "claim_slow": Words(
        "The hub does not answer yet. Is it plugged in, and connected?",
        "主机尚未回应。请检查电源和网络是否已接通。",
    ),
    "claim_left": Words("Time left: {seconds} s", "剩余时间：{seconds} 秒"),
    "claim_test": Words(
        "This one press is a test and calls nobody. If you need help, press it again: that is a call.",
        "这一次按键只是测试，不会呼叫任何人。如需帮助，请再按一次：那就是真正的呼叫。",
    ),
    "claim_two_minutes": Words("You have two minutes for that press.", "请在两分钟内完成按键。"),
    "try_again": Words("Try again", "重试"),
    # Why it has not worked
    "why_no_answer": Words(
        "The hub did not answer. Check that it has power and is connected, then try again.",
        "主机没有回应。请检查电源和网络，然后重试。",
    ),
    "why_nothing": Words(
        "No press arrived within two minutes. Stand at the hub and try again.",
        "两分钟内没有收到按键。请站在主机旁重试。",
    ),
    "why_alarm": Words(
        "That was taken as a call for help. If nobody needs any, say so when you are asked. Then try again.",
        "该次按键已作为呼叫处理。如无需帮助，请在有人应答时说明，之后再试。",
    ),
    "why_refused_5": Words(
        "A call for help is open here. It has to be answered and closed first; then try again.",
        "这里有一次呼叫尚未结束，需先由值守人员应答并结束，然后再试。",
    ),
    "why_refused_4": Words(
        "The hub does not know the time yet. Wait a minute, then try again.",
        "主机的时间尚未校准。请等一分钟再试。",
    ),
    "why_refused_7": Words(
        "The button is pressed already. Let it go, then try again. If nobody holds it, tell the installer.",
        "呼叫键处于按下状态。请松开后重试；如果没有人按着它，请告知安装人员。",
    ),
    "why_refused_3": Words("The hub is busy. Try again in a minute.", "主机正忙，请过一分钟再试。"),
    "why_restarted": Words("The hub has restarted. Try again.", "主机刚刚重新启动，请重试。"),
    "why_late": Words(
        "The press was too long ago. Press the button once more.", "按键已过去太久，请重新按一次。"
    ),
    "why_replaced": Words(
        "Somebody has begun another test of this hub. Try again in a few minutes.",
        "有人正在对这台主机进行其他测试，请过几分钟再试。",
    ),
    "why_other": Words(
        "Another phone is setting up this hub right now. Wait {minutes} min, and do not press the button "
        "until then. If it is nobody of yours, tell the installer.",
        "另一部手机正在设置这台主机，请等待 {minutes} 分钟，在此之前不要按键。"
        "如果不是家人操作，请告知安装人员。",
    ),
    "why_too_many": Words(
        "This was tried too often. Try again in {minutes} min.", "尝试次数过多，请 {minutes} 分钟后再试。"
    ),
    "why_no_button": Words(
        "This hub has no call button yet. Ask whoever installed it.",
        "这台主机尚未安装呼叫键，请联系安装人员。",
    ),
    "why_unknown": Words(
        "The hub cannot do this now. Ask whoever installed it.", "主机暂时无法完成此操作，请联系安装人员。"
    ),
    # The PIN
    "choose_title": Words("Choose a PIN", "设置密码"),
    "choose_what": Words(
        "The hub's button was pressed. Now choose 6 to 12 digits. The whole family uses the same ones, once "
        "on each phone.",
        "已收到主机按键。请设置 6 到 12 位数字密码。全家共用，每部手机只需输入一次。",
    ),
    "choose_note": Words("Write it down and keep it safe.", "请记下并妥善保管。"),
    "new_pin": Words("New PIN, 6 to 12 digits", "新密码（6 到 12 位数字）"),
    "set_pin": Words("Set the PIN", "设置密码"),
    "enter_title": Words("Enter the PIN", "请输入密码"),
    "pin": Words("The family's PIN", "家庭密码"),
    "enter": Words("Enter", "进入"),
    "forgotten": Words("PIN forgotten?", "忘记密码？"),
    "forgotten_how": Words(
        "On a phone that gets in without it, choose another one under More, PIN and phones. Otherwise ask "
        "whoever installed the hub.",
        "在仍可直接进入的手机上，打开“更多”中的“密码与手机”重新设置；否则请联系安装人员。",
    ),
    "said_wrong": Words("That is not the PIN.", "密码不正确。"),
    "said_left": Words("{tries} more tries.", "还可以试 {tries} 次。"),
    "said_last": Words("One more try.", "还可以试 1 次。"),
    "said_locked": Words(
        "Too many wrong PINs. Try again in {minutes} min; until then, the right one does not work either.",
        "密码错误次数过多，请 {minutes} 分钟后再试；在此之前，正确的密码也无法进入。",
    ),
    "said_digits": Words("A PIN has 6 to 12 digits, and nothing else.", "密码应为 6 到 12 位数字。"),
    "said_simple": Words(
        "That is guessed too easily: take other digits than one repeated, or all in a row.",
        "这个密码太容易被猜到，请不要用重复或连续的数字。",
    ),
    "said_out": Words("This phone is signed out.", "本机已退出。"),
    # Settings
    "settings_title": Words("PIN and phones", "密码与手机"),
    "change_title": Words("Another PIN", "更换密码"),
    "change_what": Words(
        "All other phones then have to enter the new one.", "更换后，其他手机需要输入新密码才能进入。"
    ),
    "change": Words("Change the PIN", "更换密码"),
    "others_title": Words("Other phones", "其他手机"),
    "others_what": Words(
        "If a phone was lost: all phones but this one have to enter the PIN again.",
        "如果手机丢失：除本机外，其他手机都需要重新输入密码。",
    ),
    "others": Words("Sign out all other phones", "让其他手机全部退出"),
    "leave_title": Words("This phone", "本机"),
    "leave": Words("Sign out on this phone", "在本机退出"),
    "said_changed": Words(
        "The PIN is changed. All other phones are signed out.", "密码已更换，其他手机已全部退出。"
    ),
    "said_others": Words("All other phones are signed out.", "其他手机已全部退出。"),
}
