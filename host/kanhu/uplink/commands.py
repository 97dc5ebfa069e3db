"""What the platform may say on kanhu/1/commands, checked (contracts, section 9). Pure.

CommandError is the only error, whatever the payload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from kanhu.uplink.cloudevents import MAX_REASON
from kanhu.uplink.identity import MAX_U32, Identity, parse_alarm, parse_identity
from kanhu_protocol.checks import is_id

MAX_BYTES = 256 * 1024  # one message
MAX_COUNT = 1000  # commands in an array, events in an acknowledgement, ranges of missing events
MAX_ID = 128  # characters
_INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_OPERATOR = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODE = re.compile(r"[0-9]{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class CommandError(ValueError):
    """str() is one sentence that says what is wrong; id is the command's own, when it had a usable one."""

    def __init__(self, sentence: str, command_id: str | None = None) -> None:
        super().__init__(sentence)
        self.id = command_id


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The platform has these events; they need not be published again."""

    id: str | None
    events: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """A person takes the alarm."""

    id: str | None
    alarm: Identity
    operator: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A person sends somebody to the home."""

    id: str | None
    alarm: Identity
    operator: str


@dataclass(frozen=True, slots=True)
class OnScene:
    """Somebody has arrived at the home."""

    id: str | None
    alarm: Identity
    operator: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """A person gives the alarm to another."""

    id: str | None
    alarm: Identity
    operator: str
    to: str


@dataclass(frozen=True, slots=True)
class Close:
    """A person closes the alarm."""

    id: str | None
    alarm: Identity
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Correct:
    """A person gives a closed alarm another reason."""

    id: str | None
    alarm: Identity
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Publish these events of a hub again; ranges are (boot, first seq, last seq)."""

    id: str | None
    hub: str
    ranges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the hub there?"""

    id: str | None
    hub: str


@dataclass(frozen=True, slots=True)
class CheckIn:
    """Somebody has come to a home; code: the home's of the day, where they had to give it."""

    id: str | None
    hub: str
    who: str
    code: str | None


@dataclass(frozen=True, slots=True)
class CheckOut:
    """Somebody has left a home."""

    id: str | None
    hub: str
    who: str


Answer: TypeAlias = (
    Accept | Dispatch | OnScene | HandOver | Close | Correct
)  # what a person does about an alarm
Visit: TypeAlias = CheckIn | CheckOut
Command: TypeAlias = Acknowledge | Answer | Visit | Missing | Ping


def name_of(command: Command) -> str:
    """The name it goes by on the topic."""
    return _INNER_CAPITAL.sub("_", type(command).__name__).lower()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CommandError("A key stands twice in one object; send each key once.")
    return result


def _no_constant(name: str) -> Any:
    raise CommandError(f"{name} is not JSON.")


_decode = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant).decode


def _read(payload: bytes) -> Any:
    if len(payload) > MAX_BYTES:
        raise CommandError(f"The message has {len(payload)} bytes; at most {MAX_BYTES} are read.")
    try:
        return _decode(payload.decode("utf-8"))
    except UnicodeDecodeError:
        raise CommandError("The message is not UTF-8 text.") from None
    except CommandError:
        raise
    except RecursionError:
        raise CommandError("The message is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise CommandError(
            f"The message is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    except ValueError:
        raise CommandError("A number in the message is too long.") from None


def _list(item: dict[str, Any], key: str) -> list[Any]:
    value = item.get(key)
    if not isinstance(value, list) or not value:
        raise CommandError(f'"{key}" must be an array that is not empty.')
    if len(value) > MAX_COUNT:
        raise CommandError(f'"{key}" has {len(value)} items; at most {MAX_COUNT} fit one command.')
    return value


def _alarm(item: dict[str, Any]) -> Identity:
    alarm = parse_alarm(item.get("alarm"))
    if alarm is None:
        raise CommandError('"alarm" must be an alarm\'s name, "{hub_id}/{boot}-{seq}", as in data.alarm.')
    return alarm


def _operator(item: dict[str, Any], key: str = "operator") -> str:
    operator = item.get(key)
    if not isinstance(operator, str) or not _OPERATOR.fullmatch(operator):
        raise CommandError(f'"{key}" must be a person\'s id: 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-".')
    return operator


def _reason(item: dict[str, Any]) -> str:
    reason = item.get("reason")
    if not isinstance(reason, str) or not 0 < len(reason) <= MAX_REASON or not reason.strip():
        raise CommandError(f'"reason" must be a text of 1 to {MAX_REASON} characters.')
    if _CONTROL.search(reason):
        raise CommandError('"reason" must be one line without control characters.')
    return reason


def _hub(item: dict[str, Any]) -> str:
    hub = item.get("hub")
    if not is_id(hub):
        raise CommandError('"hub" must be a hub id: 10 characters of lower-case Crockford base32.')
    return str(hub)


def _code(item: dict[str, Any]) -> str | None:
    code = item.get("code")
    if code is not None and (not isinstance(code, str) or not _CODE.fullmatch(code)):
        raise CommandError('"code" must be the six digits of the day.')
    return code


def _acknowledge(item: dict[str, Any], command_id: str | None) -> Acknowledge:
    events = []
    for index, event in enumerate(_list(item, "events")):
        identity = parse_identity(event.get("source"), event.get("id")) if isinstance(event, dict) else None
        if identity is None:
            raise CommandError(f'"events" item {index} must be an object with an event\'s "source" and "id".')
        events.append(identity)
    return Acknowledge(command_id, tuple(events))


def _missing(item: dict[str, Any], command_id: str | None) -> Missing:
    ranges = []
    for index, span in enumerate(_list(item, "ranges")):
        if (
            not isinstance(span, list)
            or len(span) != 3
            or not all(type(number) is int and 0 <= number <= MAX_U32 for number in span)
            or span[0] == 0
            or span[1] > span[2]
        ):
            raise CommandError(f'"ranges" item {index} must be [boot, first seq, last seq] in rising order.')
        ranges.append((span[0], span[1], span[2]))
    return Missing(command_id, _hub(item), tuple(ranges))


_COMMANDS: dict[str, Callable[[dict[str, Any], str | None], Command]] = {
    "acknowledge": _acknowledge,
    "accept": lambda item, command_id: Accept(command_id, _alarm(item), _operator(item)),
    "dispatch": lambda item, command_id: Dispatch(command_id, _alarm(item), _operator(item)),
    "on_scene": lambda item, command_id: OnScene(command_id, _alarm(item), _operator(item)),
    "hand_over": lambda item, command_id: HandOver(
        command_id, _alarm(item), _operator(item), _operator(item, "to")
    ),
    "close": lambda item, command_id: Close(command_id, _alarm(item), _operator(item), _reason(item)),
    "correct": lambda item, command_id: Correct(command_id, _alarm(item), _operator(item), _reason(item)),
    "check_in": lambda item, command_id: CheckIn(command_id, _hub(item), _operator(item, "who"), _code(item)),
    "check_out": lambda item, command_id: CheckOut(command_id, _hub(item), _operator(item, "who")),
    "missing": _missing,
    "ping": lambda item, command_id: Ping(command_id, _hub(item)),
}


def _one(item: Any) -> Command:
    if not isinstance(item, dict):
        raise CommandError('A command must be an object with a "command".')
    command_id = item.get("id")
    if command_id is not None and (
        not isinstance(command_id, str) or not 0 < len(command_id) <= MAX_ID or _CONTROL.search(command_id)
    ):
        raise CommandError(f'"id" must be a text of 1 to {MAX_ID} characters without control characters.')
    name = item.get("command")
    build = _COMMANDS.get(name) if isinstance(name, str) else None
    if build is None:
        raise CommandError(f'"command" must be one of {", ".join(_COMMANDS)}.', command_id)
    try:
        return build(item, command_id)
    except CommandError as error:
        raise CommandError(str(error), command_id) from None


def parse(payload: bytes) -> list[Command | CommandError]:
    """The commands of one message in order, a CommandError standing in for each bad one; raises CommandError
    when nothing of the message can be used."""
    message = _read(payload)
    if isinstance(message, dict):
        message = [message]
    if not isinstance(message, list) or not message:
        raise CommandError("The message must be a command object or an array of them.")
    if len(message) > MAX_COUNT:
        raise CommandError(f"The array has {len(message)} commands; at most {MAX_COUNT} fit one message.")
    result: list[Command | CommandError] = []
    for item in message:
        try:
            result.append(_one(item))
        except CommandError as error:
            result.append(error)
    return result


def reply(command_id: str | None, error: str | None = None) -> bytes:
    """The answer for kanhu/1/replies: ok, or refused with one sentence; id is left out when unknown."""
    message: dict[str, Any] = {} if command_id is None else {"id": command_id}
    message["ok"] = error is None
    if error is not None:
        message["error"] = error
    return json.dumps(message, separators=(",", ":")).encode()
