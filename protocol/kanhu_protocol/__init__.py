"""Kanhu's wire contract: pure, sans-I/O, the same file on CPython and MicroPython."""

VERSION = 1  # stands in the MQTT topic, the hello frame and events.cddl
