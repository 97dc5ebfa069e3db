"""What an operator asks and does, for each kind of alarm, in English and in Chinese.

A starting point for the centre's own procedure: it names no diagnosis, and the emergency numbers are
those of mainland China (120 ambulance, 119 fire, 110 police)."""

from __future__ import annotations

from typing import NamedTuple

from kanhu.care.rules.values import Words


class Script(NamedTuple):
    """What to ask whoever answers the telephone, and what to do, in order."""

    ask: tuple[Words, ...]
    do: tuple[Words, ...]


_RING = Words(
    "Ring the home. No answer: ring again once, then the next number.",
    "拨打老人家中电话；无人接听再拨一次，然后拨打下一联系人。",
)
_NOBODY = Words(
    "Nobody reached: send someone to the door. Silence is not an all-clear.",
    "都联系不上：派人上门查看。无人应答不等于平安。",
)
_STAY = Words("Stay on the line until someone is there.", "保持通话，直到有人到场。")
_SPEAK = Words("Can you speak? What has happened?", "您能说话吗？发生了什么事？")
_HURT = Words("Are you hurt, or in pain? Where?", "有没有受伤或疼痛？哪里不舒服？")
_BREATH = Words(
    "Can you breathe well? Is anything pressing on your chest?",
    "呼吸顺畅吗？胸口闷不闷？",
)
_ALONE = Words("Is anyone with you?", "身边有人吗？")
_DOOR = Words("Can you reach the door, or does someone have a key?", "您能开门吗？谁有钥匙？")
_AMBULANCE = Words(
    "Hurt, breathless, confused or not answering: 120, then send someone with a key.",
    "受伤、呼吸困难、意识不清或无应答：拨打 120，并派人携钥匙前往。",
)
_RAISED = Words("Say why you ring: read the reason above.", "说明来电原因：读出上方的报警原因。")
_WELL = Words("How are you? Have you been up today?", "您还好吗？今天起床活动了吗？")
_CONTACT = Words(
    "Ring a contact who lives near, and ask them to look.",
    "联系住得近的联系人，请其上门查看。",
)
_CORRECT = Words(
    "Away, in hospital or had visitors: set the home's mode and close with that reason, so the rule learns.",
    "外出、住院或有访客：设置住户模式，并以相应原因结束，供规则改进。",
)

SCRIPTS = {
    "call": Script(
        ask=(_SPEAK, _HURT, _BREATH, _ALONE, _DOOR),
        do=(_RING, _AMBULANCE, _NOBODY, _STAY),
    ),
    "fall": Script(
        ask=(
            _SPEAK,
            Words(
                "Did you hit your head? Do you take blood thinners?",
                "有没有碰到头？是否服用抗凝药？",
            ),
            Words("Can you move arms and legs without pain?", "手脚能动吗？动起来疼不疼？"),
            _BREATH,
            _DOOR,
        ),
        do=(
            _RING,
            Words(
                "Pain, head hit or cannot get up: ask them not to move, keep warm; 120.",
                "疼痛、碰到头或起不来：请老人不要移动，注意保暖，拨打 120。",
            ),
            _NOBODY,
            _STAY,
        ),
    ),
    "smoke": Script(
        ask=(
            Words("Do you see smoke or fire?", "看得到烟或火吗？"),
            Words("Can you get out, and is the way free?", "您能出去吗？通道是否畅通？"),
            Words("Is something on the stove?", "灶上有没有东西？"),
        ),
        do=(
            Words(
                "Fire, smoke or no answer: 119 at once, with the address.",
                "有火、有烟或无应答：立即拨打 119，报清地址。",
            ),
            Words(
                "Ring the home: out, low, doors shut behind; no lift.",
                "拨打家中电话：低姿撤离，随手关门，不乘电梯。",
            ),
            Words("Ring the neighbours and the building's staff.", "通知邻居和物业。"),
            _STAY,
        ),
    ),
    "gas": Script(
        ask=(
            Words("Do you smell gas?", "闻到燃气味了吗？"),
            Words("Can you get out now?", "您现在能出去吗？"),
        ),
        do=(
            Words(
                "Tell them: no switch, no flame; open a window on the way, go out, ring from outside.",
                "告知：勿动开关，勿用明火，顺手开窗，立即离开，到室外再打电话。",
            ),
            Words(
                "119 and the gas company, with the address.",
                "拨打 119 和燃气公司抢修电话，报清地址。",
            ),
            Words(
                "No answer: someone to the door, not ringing its bell.",
                "无应答：派人上门，不要按电门铃。",
            ),
            Words("Have the building's staff warn the neighbours.", "请物业通知邻居。"),
        ),
    ),
    "carbon_monoxide": Script(
        ask=(
            Words(
                "Headache, dizziness, sickness? Anyone else?",
                "头痛、头晕、恶心吗？还有其他人吗？",
            ),
            Words("Is a stove, heater or boiler burning?", "有没有炉子、取暖器或热水器在燃烧？"),
        ),
        do=(
            Words(
                "Tell them: out into the air now, windows open on the way.",
                "告知：立即到室外通风处，顺手开窗。",
            ),
            Words(
                "Unwell or no answer: 120 and 119; say carbon monoxide.",
                "不适或无应答：拨打 120 和 119，说明一氧化碳。",
            ),
            Words("Nobody goes back in before it has been measured.", "检测合格前不得返回室内。"),
        ),
    ),
    "inactivity": Script(ask=(_WELL, _HURT, _ALONE), do=(_RING, _RAISED, _CONTACT, _NOBODY, _CORRECT)),
    "overstay": Script(
        ask=(_WELL, _HURT, Words("Can you get up and open the door?", "能站起来并打开门吗？"), _DOOR),
        do=(_RING, _RAISED, _CONTACT, _NOBODY, _CORRECT),
    ),
    "no_return": Script(
        ask=(
            Words("Where are you? Are you on the way home?", "您在哪里？在回家路上吗？"),
            Words("To a contact: do you know where they are?", "问联系人：是否知道老人去向？"),
        ),
        do=(
            Words("Ring the elder's mobile, then the contacts.", "先拨老人手机，再拨联系人。"),
            Words(
                "Not found, or known to lose their way: 110 with description and last place.",
                "找不到或有走失史：拨打 110，提供特征和最后位置。",
            ),
            _CORRECT,
        ),
    ),
    "door.left_open": Script(
        ask=(Words("Is your door open? Is all well?", "家门是不是开着？一切都好吗？"), _ALONE),
        do=(_RING, Words("No answer: ask a neighbour to look.", "无应答：请邻居查看。"), _NOBODY, _CORRECT),
    ),
    "missed_visit": Script(
        ask=(
            Words(
                "To the carer: were you there? When will you come?",
                "问护理员：到过吗？何时能到？",
            ),
            _WELL,
        ),
        do=(
            Words("Ring the carer, then the home.", "先联系护理员，再拨打家中电话。"),
            Words("Neither answers: send another visitor today.", "都无应答：当天另派人探访。"),
        ),
    ),
    "vitals.out_of_range": Script(
        ask=(
            Words(
                "How do you feel? Any pain, dizziness or short breath?",
                "感觉怎么样？有无疼痛、头晕、气短？",
            ),
            Words(
                "Will you measure again, sitting, after five minutes?",
                "请静坐五分钟后再测一次，好吗？",
            ),
        ),
        do=(
            _RING,
            Words(
                "Unwell, or out of limits again: the plan agreed for this person; urgent signs: 120.",
                "不适或再次超出范围：按该老人的约定方案处理；情况紧急拨打 120。",
            ),
            Words(
                "The limits were set by a person: you judge no illness.",
                "范围由专人设定：值守员不作诊断。",
            ),
        ),
    ),
    "water_leak": Script(
        ask=(Words("Do you see water? Where?", "看到漏水吗？在哪里？"), _HURT),
        do=(
            _RING,
            Words(
                "Ask to shut the tap, and to keep off wet floors and sockets.",
                "请关闭水阀，避开湿地面和插座。",
            ),
            Words("Send the building's staff or a plumber.", "联系物业或维修人员。"),
        ),
    ),
    "wandering": Script(
        ask=(Words("Where are you? What do you see around you?", "您在哪里？周围看到什么？"),),
        do=(
            Words("Ring the elder's mobile, then the contacts.", "先拨老人手机，再拨联系人。"),
            Words(
                "Not found in 15 min: 110 with description and last place.",
                "15 分钟未找到：拨打 110，提供特征和最后位置。",
            ),
        ),
    ),
}

# A kind this page does not know yet.
OTHER = Script(ask=(_SPEAK, _HURT, _ALONE), do=(_RING, _NOBODY))
SCRIPTS[""] = OTHER
