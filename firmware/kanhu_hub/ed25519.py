"""Ed25519 signatures, checked (RFC 8032 section 5.1.7). Nothing is secret here, nor is it constant-time."""

from kanhu_hub.sha512 import sha512

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SLICE = 4  # bits of the scalars between two pauses


def _add(p, q):
    # Extended coordinates (x, y, z, t), complete for any two points (RFC 8032 section 5.1.4).
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(raw):
    # A point of 32 bytes; None when they are not the one encoding of a point on the curve.
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * v**3 * pow(u * v**7 % _P, (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if v * x * x % _P != u or (sign and not x):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _small(point):
    # Of an order that divides 8: what it signs, it signs for everybody.
    for _ in range(3):
        point = _add(point, point)
    return not point[0] and point[1] == point[2]


async def verify(public, message, signature, pause):
    """Whether the 64 bytes sign message under a key of 32 bytes; awaits pause() between slices of work."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    a, r = _point(public), _point(signature[:32])
    if s >= _L or not a or not r or _small(a) or _small(r):
        return False
    await pause()
    k = int.from_bytes(sha512(signature[:32] + public + message), "little") % _L
    # [S]B - [k]A, both at once, must be R.
    base = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    a = (_P - a[0], a[1], 1, _P - a[3])
    both = _add(base, a)
    found = (0, 1, 1, 0)
    for bit in range(252, -1, -1):
        if bit % _SLICE == 0:
            await pause()
        found = _add(found, found)
        which = (s >> bit & 1) | (k >> bit & 1) << 1
        if which:
            found = _add(found, (base, a, both)[which - 1])
    x, y, z, _ = found
    return not (r[0] * z - x) % _P and not (r[1] * z - y) % _P
