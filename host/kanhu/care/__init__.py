"""Alarms and their life."""

from .alarms import Alarm, AlarmError, AlarmName, Alarms

__all__ = ["Alarm", "AlarmError", "AlarmName", "Alarms"]
