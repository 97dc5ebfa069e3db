"""Which rules watch a home and with what settings: the registry's, checked by the rules' own models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from kanhu.errors import KanhuError

from .rules.values import Rule


class SettingsError(KanhuError):
    """Settings that a rule does not take; one line that names what is wrong."""


def check(rule: Rule[Any], given: Mapping[str, Any]) -> BaseModel:
    """A rule's settings from plain values; SettingsError names each that is wrong."""
    try:
        settings: BaseModel = rule.settings.model_validate(dict(given))
    except ValidationError as error:
        wrong = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "settings"
            if item["type"] == "extra_forbidden":
                wrong.append(f"{key}: no such setting; there are {', '.join(rule.settings.model_fields)}")
            else:
                wrong.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
        raise SettingsError(f"rule {rule.name}: {'; '.join(wrong)}") from None
    return settings


def switched_on(
    stored: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Rule[Any]]
) -> tuple[list[tuple[Rule[Any], BaseModel]], list[str]]:
    """(rules that are on with their settings, what is wrong with others) of what the registry has of a home.

    A rule is on when somebody has set it and did not switch it off."""
    on: list[tuple[Rule[Any], BaseModel]] = []
    wrong: list[str] = []
    for name, given in stored.items():
        rule = rules.get(name)
        if rule is None:
            wrong.append(f"rule {name}: there is none of this name in this version")
            continue
        try:
            settings = check(rule, given)
        except SettingsError as error:
            wrong.append(str(error))
            continue
        if getattr(settings, "enabled", True):
            on.append((rule, settings))
    return on, wrong
