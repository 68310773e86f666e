"""A cache of what is made for image sizes, bounded in bytes: anybody may send images of any size."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar

Result = TypeVar("Result")


def size_cache(entries: int, longest: int) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorate a function of sizes: keep its last `entries` results, but none for a size over `longest`.

    longest: pixels a side. Results must grow with the sizes in the arguments alone.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        cached: Callable[..., Result] = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def call(*arguments: Hashable) -> Result:
            huge = any(isinstance(argument, int) and argument > longest for argument in arguments)
            return (function if huge else cached)(*arguments)

        return call

    return decorate
