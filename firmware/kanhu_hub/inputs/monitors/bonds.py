"""What outlives a restart of the monitors: the secrets of their bonds, and a few facts of each."""

from micropython import const

from kanhu_hub import store
from kanhu_protocol import cbor

_MAX_BYTES = const(16384)  # of a file
_ROW = const(6)  # address and facts of a monitor
_OWN = const(10)  # kind of the stack's own secrets; those of bonds are 1 and 2
_MAX_SECRETS = const(40)  # two of each of 16 monitors, and the stack's own; when full, more are refused


class Bonds:
    """get() and put() are called by the stack's interrupt; keep() writes what is new to flash."""

    def __init__(self, path):
        self._paths = path + ".bonds", path + ".monitors"
        self._secrets = []  # [kind, key, value]
        self.facts = {}  # address: [bonded, fault, sequence, manufacturer, model]
        self._new = [False, False]  # secrets, facts
        try:
            for kind, key, value in cbor.loads(store.read(self._paths[0]) or b"\x80", _MAX_BYTES):
                self._secrets.append([kind, key + b"", value + b""])
        except (ValueError, TypeError):
            pass  # a monitor that wants its old key says so
        try:
            for row in cbor.loads(store.read(self._paths[1]) or b"\x80", _MAX_BYTES):
                if len(row) == _ROW:
                    self.facts[row[0]] = row[1:]
        except (ValueError, TypeError, LookupError):
            pass

    def get(self, kind, index, key):
        """The secret of that kind and key, or without key the index-th one; None."""
        for row in self._secrets:
            if row[0] == kind:
                if key is None:
                    if not index:
                        return row[2]
                    index -= 1
                elif row[1] == key:
                    return row[2]
        return None

    def put(self, kind, key, value):
        """Take a secret over, or without value forget it; False when there is no room."""
        key = bytes(key)
        others = [row for row in self._secrets if row[0] != kind or row[1] != key]
        if value is not None:
            if len(others) >= _MAX_SECRETS and not self._make_room(others):
                return False
            others.append([kind, key, bytes(value)])
        self._secrets = others
        self._new[0] = True
        return True

    def _make_room(self, rows):
        # A monitor may give itself another identity at each pairing.
        for row in rows:
            if row[0] < _OWN and not any(_of(row, address) for address in self.facts):
                rows.remove(row)
                return True
        return False

    def has(self, address):
        """Whether there is a bond with a monitor."""
        return any(_of(row, address) for row in self._secrets)

    def forget(self, address):
        """End the bond with a monitor."""
        if self.has(address):
            self._secrets = [row for row in self._secrets if not _of(row, address)]
            self._new[0] = True

    def changed(self):
        """Facts have changed."""
        self._new[1] = True

    def only(self, addresses):
        """Forget every monitor but these."""
        for address in [one for one in self.facts if one not in addresses]:
            self.forget(address)
            del self.facts[address]
            self.changed()

    def keep(self):
        """Write what is new; what flash does not take it gets another time."""
        for n, rows in ((0, self._secrets), (1, [[one] + row for one, row in self.facts.items()])):
            if self._new[n]:
                self._new[n] = False  # first: the interrupt may come meanwhile
                try:
                    store.replace(self._paths[n], cbor.dumps(rows, _MAX_BYTES))
                except (OSError, ValueError, MemoryError):
                    self._new[n] = True


def _of(row, address):
    # By what a secret is kept is the stack's affair: the address stands in the key or in the value.
    reverse = bytes(reversed(address))
    return reverse in row[1] or reverse in row[2]
