"""Requests that schemathesis makes from an OpenAPI description, valid and not, sent to a server that runs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from starlette.routing import BaseRoute, Route

SEED = 20261122
LIMIT_S = 20.0


def describe(
    routes: Iterable[BaseRoute],
    parameters: Mapping[str, dict[str, Any]],
    bodies: Mapping[tuple[str, str], dict[str, Any]],
    media_type: str,
    queries: Mapping[str, Mapping[str, dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """An OpenAPI description of a server's own routes. parameters: schemas of what stands in paths, by name;
    bodies: of what is posted, by path; queries: of what stands behind "?", by path."""
    paths: dict[str, Any] = {}
    for route in routes:
        if not isinstance(route, Route):
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            operation: dict[str, Any] = {"responses": {"default": {"description": "anything but a failure"}}}
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": parameters[name]}
                for name in route.param_convertors
            ] + [
                {"name": name, "in": "query", "schema": schema}
                for name, schema in (queries or {}).get(route.path_format, {}).items()
            ]
            if method == "POST":
                body = bodies.get(route.path_format, {"type": "object"})
                operation["requestBody"] = {"content": {media_type: {"schema": body}}}
            paths.setdefault(route.path_format, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}


def send_all(
    description: dict[str, Any],
    url: str,
    visitors: Sequence[str],
    dress: Callable[[str, dict[str, Any]], None],
    look: Callable[[str, Case, requests.Response], None],
    examples: int,
) -> dict[str, Counter[int]]:
    """Make so many valid and so many invalid requests of each operation, always the same, and send each for
    every visitor: dress() gives it (arguments of requests) their cookies, look() judges the answer. How often
    each status came, by visitor."""
    schema = schemathesis.openapi.from_dict(description)
    came: dict[str, Counter[int]] = {who: Counter() for who in visitors}
    with requests.Session() as client:

        def send(case: Case) -> None:
            for who in visitors:
                asked = case.as_transport_kwargs(base_url=url)
                dress(who, asked)
                answer = client.request(**asked, allow_redirects=False, timeout=LIMIT_S)
                client.cookies.clear()
                came[who][answer.status_code] += 1
                look(who, case, answer)

        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                sending = given(case=operation.as_strategy(generation_mode=mode))(send)
                bounded = settings(
                    max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )  # fmt: skip
                # What takes nothing cannot be asked wrongly.
                with contextlib.suppress(*[Unsatisfiable] * (mode is GenerationMode.NEGATIVE)):
                    seed(SEED)(bounded(sending))()
    return came
