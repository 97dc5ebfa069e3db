"""Alarms and their life."""

from typing import TYPE_CHECKING, Any

from .alarm import Alarm, AlarmError, AlarmName, alarm_name

if TYPE_CHECKING:
    from .alarms import Alarms

__all__ = ["Alarm", "AlarmError", "AlarmName", "Alarms", "alarm_name"]


def __getattr__(name: str) -> Any:
    if name == "Alarms":  # loaded when asked for: the values do without the journal
        from .alarms import Alarms

        return Alarms
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
