"""Why a hub stands where it does, in words."""

from __future__ import annotations

from kanhu_protocol import kinds as k
from kanhu_protocol import names

# Beside names.DETAILS[UPDATE_FAILED], which the hub says itself.
WHY = {
    "alarm": "an alarm or pre-alarm of its home is not closed",
    "alarm_there": "the hub says that an alarm stands",
    "busy": "the hub is busy with something else",
    "silent": "the hub has fallen silent",
    "no_answer": "the hub has not answered",
    "already": "it runs this release or a newer one",
    "revoked": "it is revoked, or in the registry no more",
    "no_key": "it trusts no key of this release: flash it with a bundle that holds one",
    "takes_none": "its firmware takes no updates: flash it once",
    "refused": "the hub could not keep what it was told",
    "went_back": "the hub runs its old release again",
    "silent_after": "the hub fell silent with the new release",
    "safe_mode": "no installed release starts any more: the hub runs the one of the factory",
    "stalled": "three times it has stopped fetching",
    "no_end": "three hours after it restarted it had neither proven the release nor gone back",
    "not_signed": "signed by none of the keys that the hub trusts",
    "damaged": "not the archive, or not the files, that were announced",
    "not_newer": "not newer than what the hub runs",
    "no_room": "no room on the hub's flash",
    "did_not_start": "the release did not start three times: the old one runs again",
    "not_proven": "no test call of the release came through in time: the old one runs again",
    "not_for_this_board": "the release is not for this board",
    "given_up": "given up by command",
    "not_saved": "the hub's flash or memory failed",
}
FAILED = names.DETAILS[k.UPDATE_FAILED]
NOT_SIGNED, NOT_NEWER, GIVEN_UP = 1, 3, 8  # of FAILED
ALARM_STANDS, NOT_NEWER_REFUSED, BUSY, UNKNOWN = 5, 8, 9, 1  # names.DETAILS[COMMAND_REFUSED]


def sentence(why: str) -> str:
    """For a person; what is not known stands for itself."""
    return WHY.get(why, why)
