# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Captions with names of any text, and their places."""

import numpy as np
import pytest

from seg_node.drawing.captions import Caption, write_captions


def written(name: str) -> np.ndarray:
    picture = np.zeros((60, 200, 3), np.uint8)
    write_captions(picture, [Caption(name, " 0.9", (255, 255, 255), (10, 30, 100, 50))])
    return picture


@pytest.mark.parametrize("name", ["\udce9t\udce9", "a\nb", "\ud83d", "\x1b[31m", "\u202eabc", "\0"])
def test_what_cannot_be_drawn_becomes_a_question_mark(name: str) -> None:
    shown = "".join(char if char.isprintable() else "?" for char in name)
    assert "?" in shown
    np.testing.assert_array_equal(written(name), written(shown))


def test_a_name_of_any_length_is_shortened() -> None:
    np.testing.assert_array_equal(written("x" * 1_000_000), written("x" * 1000))
    assert written("x" * 1000).any()


def colours_of(count: int) -> list[tuple[int, int, int]]:
    return [(255, 40 + i, 200) for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 100])
def test_no_caption_covers_another_and_the_first_are_never_skipped(count: int) -> None:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, (600, 440), (count, 2))
    boxes = np.hstack([corners, corners + rng.integers(10, 200, (count, 2))])
    captions = [
        Caption("cup", f" #{i} 0.9", colour, tuple(map(float, box)))
        for i, (colour, box) in enumerate(zip(colours_of(count), boxes, strict=True))
    ]
    together = np.zeros((480, 640, 3), np.uint8)
    write_captions(together, captions)
    shown = []
    for caption in captions:
        alone = np.zeros_like(together)
        write_captions(alone, [caption])
        visible = (together == caption.background).all(axis=2).sum()
        # a caption is whole, wherever it stands, or skipped
        assert visible in (0, (alone == caption.background).all(axis=2).sum())
        shown.append(visible > 0)
    assert shown[: min(count, 5)] == [True] * min(count, 5)
    assert sum(shown) >= min(count, 40)


def test_a_caption_without_a_free_place_is_skipped() -> None:
    captions = [Caption("cup", "", colour, (10, 30, 100, 50)) for colour in colours_of(20)]
    picture = np.zeros((90, 200, 3), np.uint8)
    write_captions(picture, captions)
    shown = [(picture == caption.background).all(axis=2).any() for caption in captions]
    assert shown[0] and not shown[-1]
    assert shown == sorted(shown, reverse=True)


def test_the_name_of_stuff_moves_away_from_an_objects_caption() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    first, second = colours_of(2)
    write_captions(picture, [Caption("cup", "", first, (90, 110, 150, 180))])
    both = np.zeros_like(picture)
    write_captions(
        both,
        [
            Caption("cup", "", first, (90, 110, 150, 180)),
            Caption("floor", "", second, (105, 100, 105, 100), centred=True),
        ],
    )
    assert (both == second).all(axis=2).any()
    whole = (picture == first).all(axis=2)
    assert ((both == first).all(axis=2) == whole).all()
