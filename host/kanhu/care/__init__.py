"""Alarms and their life."""

from .alarm import Alarm, AlarmError, AlarmName, alarm_name
from .alarms import Alarms

__all__ = ["Alarm", "AlarmError", "AlarmName", "Alarms", "alarm_name"]
