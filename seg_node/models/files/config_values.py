"""Values of configurations, checked: numbers are finite, and not so large that an image takes all memory."""

import math
from collections.abc import Mapping
from typing import Any

_LARGEST_SIDE = 8192  # pixels, of a network's input
_LARGEST_COUNT = 100_000  # of candidates, of pixels of an area
_LARGEST_NUMBER = 1e9


def section(content: Mapping[str, Any], source: str, *keys: str) -> Mapping[str, Any]:
    """The dictionary below the keys, one in the other; empty where there is none.

    source: names the file in messages. Raises ValueError where something else is there.
    """
    for key in keys:
        inner = content.get(key) or {}
        if not isinstance(inner, Mapping):
            raise ValueError(f"{source}: {key} holds a {type(inner).__name__}, expected keys with values")
        content = inner
    return content


def number(value: Any) -> float:
    """Raises TypeError or ValueError for what is no finite number."""
    result = float(value)
    if not abs(result) <= _LARGEST_NUMBER:
        raise ValueError(f"expected a number from -{_LARGEST_NUMBER:g} to {_LARGEST_NUMBER:g}")
    return result


def numbers(value: Any) -> tuple[float, ...]:
    return tuple(number(item) for item in value)


def three_numbers(value: Any) -> tuple[float, float, float]:
    """Such as the means of the colours."""
    first, second, third = numbers(value)
    return first, second, third


def three_divisors(value: Any) -> tuple[float, float, float]:
    """Such as the standard deviations of the colours."""
    divisors = three_numbers(value)
    if not min(divisors) > 0:
        raise ValueError("expected three numbers above 0")
    return divisors


def sizes(value: Any) -> tuple[float, ...]:
    """Lengths or ratios, above 0."""
    lengths = numbers(value)
    if not lengths or not min(lengths) > 0:
        raise ValueError("expected numbers above 0")
    return lengths


def count(value: Any, least: int = 0, most: int = _LARGEST_COUNT) -> int:
    """A whole number from least to most."""
    if (isinstance(value, float) and not math.isfinite(value)) or int(value) != value:
        raise ValueError("expected a whole number")
    if not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return int(value)


def positive(value: Any) -> int:
    return count(value, least=1)


def side(value: Any) -> int:
    """Of a network's input, in pixels; 0 where that means the image's own."""
    return count(value, most=_LARGEST_SIDE)


def positive_side(value: Any) -> int:
    return count(value, least=1, most=_LARGEST_SIDE)


def area(value: Any) -> int:
    """In pixels."""
    return count(value, most=_LARGEST_SIDE**2)
