"""What a command asks of a running daemon: a file in data_dir/requests, answered in another beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from kanhu.errors import DataError, KanhuError

log = structlog.get_logger("kanhu.requests")

FOLDER = "requests"
LOOK_EVERY_S = 0.2
ANSWER_S = 10.0  # a daemon that runs looks five times a second
KEPT_S = 60.0  # an answer that nobody has fetched

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def ask(data_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The running daemon's answer; DataError when it refuses, or there is none."""
    folder = data_dir / FOLDER
    token = secrets.token_hex(8)
    asked, answered = folder / f"{token}.ask", folder / f"{token}.answer"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write(asked, request)
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            if answered.exists():
                answer: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
                answered.unlink()
                if "error" in answer:
                    raise DataError(answer["error"])
                return answer
            time.sleep(0.05)
        with contextlib.suppress(FileNotFoundError):
            asked.unlink()  # nobody has taken it, and nobody does any more
            raise DataError(f"no daemon answers in {data_dir}: is it running? Nothing was done")
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; run this as the daemon's user") from None
    finally:
        with contextlib.suppress(OSError):
            asked.unlink(missing_ok=True)
    raise DataError(f"the daemon has not answered within {ANSWER_S:.0f} s; look whether it was done")


def route(handlers: Mapping[str, Handler]) -> Handler:
    """Each by what stands before the first dot of `do`."""

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        handler = handlers.get(str(request.get("do", "")).partition(".")[0])
        if handler is None:
            raise DataError("the daemon does not know this request: is it of another version?")
        return await handler(request)

    return handle


async def watch(data_dir: Path, handler: Handler) -> None:
    """Answer what is asked, until cancelled; a KanhuError of the handler is the answer."""
    folder = data_dir / FOLDER
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            # Made here, so that it is ours also where root is the first to ask.
            folder.mkdir(mode=0o700, exist_ok=True)
            for path in sorted(folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):  # whoever asked has taken it away meanwhile
                    if _is_asked(path):
                        await _answer(path, handler)
        except OSError as error:
            log.error("requests cannot be read", folder=str(folder), error=error.strerror)
            await asyncio.sleep(ANSWER_S)


def _is_asked(path: Path) -> bool:
    """Whether it is a request that is waited for; what is over is taken away."""
    age_s = time.time() - path.stat().st_mtime
    # Whoever asked so long ago has been told that there is no answer, and things are not as they were.
    if age_s > (ANSWER_S if path.suffix == ".ask" else KEPT_S):
        path.unlink(missing_ok=True)
        return False
    return path.suffix == ".ask"


async def _answer(path: Path, handler: Handler) -> None:
    request = _take(path)
    if request is None:
        return
    try:
        answer = await handler(request)
    except KanhuError as error:
        answer = {"error": str(error)}
    except Exception:
        log.exception("a request failed", request=request.get("do"))
        answer = {"error": "the daemon failed at this; its log says why"}
    _write(path.with_suffix(".answer"), answer)


def _take(path: Path) -> dict[str, Any] | None:
    """What is asked; None where it cannot be read. It is taken away before it is done: twice would be worse
    than not at all, of which whoever asks is told."""
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        request = None
    path.unlink()
    return request if isinstance(request, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
    part.rename(path)
