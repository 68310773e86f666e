# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Captions with names of any text."""

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
