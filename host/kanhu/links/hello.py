"""A hub's hello on a line of its own (contracts, section 3)."""

from __future__ import annotations

from kanhu_protocol import VERSION, cbor
from kanhu_protocol.checks import is_id

ANSWER = 32  # key of a hub's hello: its events went unanswered, is anybody there?


def read(body: bytes) -> tuple[str, bool] | None:
    """(hub id, whether it wants an answer); None: malformed, or of another version."""
    try:
        hello = cbor.loads(body)
    except cbor.CborError:
        return None
    version, hub_id = (hello.get(0), hello.get(1, "")) if isinstance(hello, dict) else (None, "")
    if type(version) is not int or version != VERSION or not is_id(hub_id):
        return None
    return hub_id, ANSWER in hello
