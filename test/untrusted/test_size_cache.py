# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A size cache keeps results for small sizes, and none for huge ones."""

import pytest

from seg_node.untrusted.size_cache import size_cache


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [((3, 4), 1), ((10, 10), 1), ((11, 1), 2), ((1, 11), 2)],
)
def test_only_sizes_up_to_the_longest_are_kept(arguments: tuple[int, int], calls: int) -> None:
    called = []

    @size_cache(entries=2, longest=10)
    def multiply(height: int, width: int) -> list[int]:
        """Its docstring."""
        called.append((height, width))
        return [height * width]

    assert multiply(*arguments) == multiply(*arguments) == [arguments[0] * arguments[1]]
    assert called == [arguments] * calls
    assert multiply.__doc__ == "Its docstring."


def test_the_least_recently_used_is_dropped() -> None:
    called = []

    @size_cache(entries=2, longest=10)
    def keep(side: int) -> int:
        called.append(side)
        return side

    for side in (1, 2, 3, 3, 2, 1):
        keep(side)
    assert called == [1, 2, 3, 1]
