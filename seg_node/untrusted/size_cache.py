# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A cache by image size with bounded memory, since senders may choose any size."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar

Result = TypeVar("Result")


def size_cache(entries: int, longest: int) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Cache the last `entries` results of a function of sizes, except for sizes over `longest` pixels a side.

    The size of a result must depend only on the integer arguments.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        cached: Callable[..., Result] = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def call(*arguments: Hashable) -> Result:
            huge = any(isinstance(argument, int) and argument > longest for argument in arguments)
            return (function if huge else cached)(*arguments)

        return call

    return decorate
