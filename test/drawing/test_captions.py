"""seg_node.drawing.captions: names of any text."""

import numpy as np
import pytest

from seg_node.drawing.captions import Caption, write_captions
from seg_node.untrusted.one_line import one_line


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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, ü, 日本", "plain, ü, 日本"),
        ("a\nb\x1b[31m\udce9", r"a\nb\x1b[31m\udce9"),
        ("x" * 300, "x" * 300),
        ("a" * 200 + "m" * 10**6 + "z" * 100, "a" * 200 + " … " + "z" * 100),
    ],
)
def test_any_text_becomes_a_short_line(text: str, line: str) -> None:
    assert one_line(text) == line
