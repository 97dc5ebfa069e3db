"""SHA-512 (FIPS 180-4) for what a signature covers: an ESP32's MicroPython has SHA-1 and SHA-256 only."""

_MASK = 0xFFFFFFFFFFFFFFFF


def _fraction(prime, k):
    # The first 64 bits of the fraction of a prime's k-th root, found from above (Newton).
    wanted = prime << (64 * k)
    last, root = 0, 1 << 69
    while last != root:
        last, root = root, min(root, ((k - 1) * root + wanted // root ** (k - 1)) // k)
    return root & _MASK


def _primes(count):
    found: list = []
    number = 2
    while len(found) < count:
        if all(number % one for one in found):
            found.append(number)
        number += 1
    return found


def _turn(word, by):
    return (word >> by | word << (64 - by)) & _MASK


def sha512(data):
    """64 bytes. For a few hundred bytes of data: the event loop waits for it."""
    primes = _primes(80)
    roots = [_fraction(prime, 3) for prime in primes]
    state = [_fraction(prime, 2) for prime in primes[:8]]
    size = len(data)
    data += b"\x80" + bytes(-(size + 17) % 128) + (size * 8).to_bytes(16, "big")
    for start in range(0, len(data), 128):
        words = [int.from_bytes(data[n : n + 8], "big") for n in range(start, start + 128, 8)]
        a, b, c, d, e, f, g, h = state
        for n in range(80):
            if n > 15:
                one, two = words[n - 15], words[n - 2]
                words.append(
                    words[n - 16]
                    + (_turn(one, 1) ^ _turn(one, 8) ^ one >> 7)
                    + words[n - 7]
                    + (_turn(two, 19) ^ _turn(two, 61) ^ two >> 6)
                    & _MASK
                )
            one = h + (_turn(e, 14) ^ _turn(e, 18) ^ _turn(e, 41)) + (e & f ^ ~e & g) + roots[n] + words[n]
            two = (_turn(a, 28) ^ _turn(a, 34) ^ _turn(a, 39)) + (a & b ^ a & c ^ b & c)
            a, b, c, d, e, f, g, h = one + two & _MASK, a, b, c, d + one & _MASK, e, f, g
        state = [x + y & _MASK for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return b"".join([word.to_bytes(8, "big") for word in state])
