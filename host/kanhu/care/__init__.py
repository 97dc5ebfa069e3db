"""Alarms and their life."""

from .alarms import Alarm, AlarmError, AlarmName, Alarms, alarm_name

__all__ = ["Alarm", "AlarmError", "AlarmName", "Alarms", "alarm_name"]
