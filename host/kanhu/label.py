"""A hub's label: the link that opens its families' page, as text and as a QR code."""

from __future__ import annotations

import io
import ipaddress
from html import escape
from urllib.parse import urlsplit

import segno

from kanhu.config import Web
from kanhu.errors import KanhuError

WIDTH_MM, HEIGHT_MM, CODE_MM = 50, 68, 46
PNG_SCALE = 16  # dots a module: 60 mm at 300 dpi
QUIET = 4  # modules around the code (ISO/IEC 18004)
WORDS = "扫码查看平安状况", "Scan to see that all is well"
_FONT = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif"
_CURE = (
    'set [web] public_url = "https://.." to how phones reach the page, or give --lab for a desk of your own'
)


class LabelError(KanhuError):
    """No label can be made so; one line that says what to do."""


def link(web: Web, token: str, lab: bool = False) -> str:
    """The link for a label; LabelError where a family's phone could not open it, or others could read along.

    lab: any address will do, this machine's own too."""
    base = web.public_url
    if base is None:
        if not web.port:
            raise LabelError(f"label: web.port 0 is another one at each start; {_CURE}")
        host = f"[{web.host}]" if ":" in web.host else web.host
        base = f"{'https' if web.tls else 'http'}://{host}:{web.port}"
    if not lab:
        why = refusal(base)
        if why:
            raise LabelError(f"label: {base} {why}; {_CURE}")
    return f"{base}/f/{token}"


def refusal(url: str) -> str:
    """Why an address is not for labels; empty: it is."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return "is plain http, which others can read"
    host = (parts.hostname or "").rstrip(".")
    try:
        near = not ipaddress.ip_address(host).is_global
    except ValueError:
        last = host.rpartition(".")[2]
        near = "." not in host or last in ("localhost", "local", "internal", "lan") or last.isdecimal()
    return "is an address that a family's phone does not reach from outside" if near else ""


def terminal(address: str) -> str:
    """The code in characters, for a dark terminal."""
    out = io.StringIO()
    _code(address).terminal(out=out, border=QUIET, compact=True)
    return out.getvalue().rstrip("\n")


def png(address: str) -> bytes:
    """The code alone, black on white."""
    out = io.BytesIO()
    _code(address).save(out, kind="png", scale=PNG_SCALE, border=QUIET)
    return out.getvalue()


def svg(address: str, hub: str) -> str:
    """A label to print: the code, what it is for, and which hub it belongs to."""
    out = io.BytesIO()
    _code(address).save(
        out, kind="svg", border=QUIET, xmldecl=False, omitsize=True, svgclass=None, lineclass=None, nl=False
    )
    left = (WIDTH_MM - CODE_MM) / 2
    code = out.getvalue().decode().replace(
        "<svg ", f'<svg x="{left:g}" y="{left:g}" width="{CODE_MM}" height="{CODE_MM}" ', 1
    )  # fmt: skip
    lines = [(WORDS[0], 5, 53), (WORDS[1], 3.2, 58.5), (f"Kanhu · 看护 · {hub}", 3, 64)]
    texts = "".join(
        f'<text x="{WIDTH_MM / 2:g}" y="{y:g}" font-size="{size:g}" text-anchor="middle" '
        f'font-family="{_FONT}">{escape(text)}</text>'
        for text, size, y in lines
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}">'
        f'<rect width="100%" height="100%" fill="#fff"/>{code}{texts}</svg>\n'
    )


def _code(address: str) -> segno.QRCode:
    return segno.make(address, error="q", micro=False)  # a quarter of it may be scratched away
