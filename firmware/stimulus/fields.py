"""What stands in a request, checked: Wrong says in one sentence what was expected."""


class Wrong(Exception):
    """args[0]: what is wrong with the request, for the person who wrote it."""


def integer(request, name, default, low, high):
    """A whole number from low to high; the default where it is left out (None: it must be there)."""
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Wrong("%s: a whole number from %d to %d" % (name, low, high))
    return value


def flag(request, name, default):
    """true or false."""
    value = request.get(name, default)
    if not isinstance(value, bool):
        raise Wrong("%s: true or false" % name)
    return value


def text(request, name, longest):
    """A string of 1 to longest characters."""
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Wrong("%s: a string of 1 to %d characters" % (name, longest))
    return value


def choice(request, name, known):
    """One of the names in known."""
    value = request.get(name)
    if not isinstance(value, str) or value not in known:
        raise Wrong("%s: one of %s" % (name, ", ".join(sorted(known))))
    return value
