"""Damages to the values of a JSON file."""

import json

from tests.fuzz.damages import Damage

DEPTH = 100_000
MARK = "tests.fuzz"  # stands for text that no JSON writer makes
OTHER_TEXTS = ("../../../etc/passwd", "/dev/zero", "x" * 100_000, "\0", "a\nb", "\u2028", "ä")
OTHER_TYPES = ([], {}, "road", "", 7, True, [None], {"a": 1})


def _places(value):
    """Yields (container, key) of every value in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from _places(child)


def _changed(content, random, fits, change):
    """Applies `change(container, key)` to one of the places where `fits(container, value)`; returns the new text."""
    document = json.loads(content)
    places = [(container, key) for container, key in _places(document) if fits(container, container[key])]
    if not places:
        return content
    change(*places[random.integers(len(places))])
    return json.dumps(document, indent=1).encode()


def _replaced(content, random, value, fits=lambda container, old: True):
    def put(container, key):
        container[key] = value

    return _changed(content, random, fits, put)


def _is_number(container, value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(container, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_in_object(container, value):
    return isinstance(container, dict)


def _null(content, random):
    return _replaced(content, random, None)


def _another_type(content, random):
    def put(container, key):
        # A whole number is no other type than a fraction, as whoever writes 1 for 1.0 knows.
        same = {type(container[key])} | ({int} if isinstance(container[key], float) else set())
        others = [other for other in OTHER_TYPES if type(other) not in same]
        container[key] = others[random.integers(len(others))]

    # null is a value of any type that may be absent.
    return _changed(content, random, lambda container, old: old is not None, put)


def _not_finite(content, random):
    return _replaced(content, random, float(random.choice(["nan", "inf", "-inf"])), _is_number)


def _fraction(content, random):
    def put(container, key):
        container[key] += 0.5

    return _changed(content, random, _is_integer, put)


def _negative(content, random):
    def put(container, key):
        container[key] = -1 - abs(container[key])

    return _changed(content, random, _is_number, put)


def _huge(content, random):
    return _replaced(content, random, 10 ** int(random.choice([9, 12, 20, 400])), _is_number)


def _too_many_digits(content, random):
    """Python reads no integer of more than 4300 digits."""
    marked = _replaced(content, random, MARK, _is_number)
    return marked.replace(f'"{MARK}"'.encode(), b"9" * 5000)


def _nested(content, random):
    marked = _replaced(content, random, MARK)
    return marked.replace(f'"{MARK}"'.encode(), b"[" * DEPTH + b"]" * DEPTH)


def _key_removed(content, random):
    return _changed(content, random, _is_in_object, lambda container, key: container.pop(key))


def _key_added(content, random):
    def put(container, key):
        container["added"] = 1

    return _changed(content, random, _is_in_object, put)


def _key_twice(content, random):
    """Writes a key a second time, with another value, which many readers take without a word."""
    chosen = []

    def put(container, key):
        container[MARK] = [] if container[key] != [] else 0
        chosen.append(key)

    marked = _changed(content, random, _is_in_object, put)
    return marked.replace(json.dumps(MARK).encode(), json.dumps(chosen[0]).encode()) if chosen else marked


def _text_changed(content, random):
    def put(container, key):
        container[key] = OTHER_TEXTS[random.integers(len(OTHER_TEXTS))]

    return _changed(content, random, lambda container, old: isinstance(old, str), put)


def _only(value):
    return lambda content, random: value


JSON = (
    Damage("null", _null),
    Damage("another type", _another_type, can_be_told=True),
    Damage("value not finite", _not_finite, can_be_told=True),
    Damage("fraction", _fraction, can_be_told=True),
    Damage("negative", _negative),
    Damage("huge value", _huge),
    Damage("5000 digits", _too_many_digits, can_be_told=True),
    Damage("nested 100,000 deep", _nested, can_be_told=True),
    Damage("key removed", _key_removed),
    Damage("key added", _key_added),
    Damage("key twice", _key_twice, can_be_told=True),
    Damage("text changed", _text_changed),
    Damage("only null", _only(b"null"), can_be_told=True),
    Damage("only a list", _only(b"[]"), can_be_told=True),
    Damage("only {}", _only(b"{}"), can_be_told=True),
    Damage("only a number", _only(b"1"), can_be_told=True),
)
