"""Text of messages in error messages: one line, printable, short, whatever it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_node.untrusted.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("bgr8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8"),
        ("Kamera größer 相机 📷", "Kamera größer 相机 📷"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x07\0", "\\x1b[31mred\\x07\\x00"),
        ("\u202etxt\u200b\u2028\xa0", "\\u202etxt\\u200b\\u2028\\xa0"),
        ("\ud800", "\\ud800"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "… (61 characters)"),
        ("\0" * 60, "\\x00" * 15 + "… (60 characters)"),
    ],
)
def test_text_is_shown_on_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=300), st.integers(0, 100))
def test_any_text_is_printable_and_no_longer_than_asked(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable()
    assert len(shown.partition("… (")[0] if len(shown) > longest else shown) <= longest
