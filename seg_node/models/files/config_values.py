# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Converters for configuration values; numbers must be finite and too small to exhaust memory."""

import math
from collections.abc import Mapping
from typing import Any

_LARGEST_SIDE = 8192  # pixels, of a network's input
_LARGEST_COUNT = 100_000  # of candidates, of pixels of an area
_LARGEST_NUMBER = 1e9


def section(content: Mapping[str, Any], source: str, *keys: str) -> Mapping[str, Any]:
    """Return the nested dictionary under the keys; empty if absent.

    source: names the file in messages. Raises ValueError if a key holds something else.
    """
    for key in keys:
        inner = content.get(key) or {}
        if not isinstance(inner, Mapping):
            raise ValueError(f"{source}: {key} holds a {type(inner).__name__}, expected keys with values")
        content = inner
    return content


def number(value: Any) -> float:
    """Convert to a float. Raises TypeError or ValueError for anything but a finite number."""
    result = float(value)
    if not abs(result) <= _LARGEST_NUMBER:
        raise ValueError(f"expected a number from -{_LARGEST_NUMBER:g} to {_LARGEST_NUMBER:g}")
    return result


def numbers(value: Any) -> tuple[float, ...]:
    return tuple(number(item) for item in value)


def three_numbers(value: Any) -> tuple[float, float, float]:
    """Three numbers, such as the means of the colour channels."""
    first, second, third = numbers(value)
    return first, second, third


def three_divisors(value: Any) -> tuple[float, float, float]:
    """Three positive numbers, such as the standard deviations of the colour channels."""
    divisors = three_numbers(value)
    if not min(divisors) > 0:
        raise ValueError("expected three numbers above 0")
    return divisors


def sizes(value: Any) -> tuple[float, ...]:
    """One or more lengths or ratios above 0."""
    lengths = numbers(value)
    if not lengths or not min(lengths) > 0:
        raise ValueError("expected numbers above 0")
    return lengths


def count(value: Any, least: int = 0, most: int = _LARGEST_COUNT) -> int:
    """Convert to a whole number from least to most."""
    if (isinstance(value, float) and not math.isfinite(value)) or int(value) != value:
        raise ValueError("expected a whole number")
    if not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return int(value)


def positive(value: Any) -> int:
    return count(value, least=1)


def side(value: Any) -> int:
    """Side of a network's input in pixels; 0 means the image's own."""
    return count(value, most=_LARGEST_SIDE)


def positive_side(value: Any) -> int:
    return count(value, least=1, most=_LARGEST_SIDE)


def area(value: Any) -> int:
    """Area in pixels."""
    return count(value, most=_LARGEST_SIDE**2)
