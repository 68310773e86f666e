# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Untrusted text in logs and errors is one short printable line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_node.untrusted.printable import listed, one_line, printable, reason


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


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], "none"),
        (["a.mcap"], "a.mcap"),
        ([7, 8, 9], "7, 8, 9"),
        ([1, 2, 3, 4], "1, 2, 3 and 1 more"),
        (["\x1b[31m", "x" * 200], "\\x1b[31m, " + "x" * 66 + " … " + "x" * 33),
    ],
)
def test_the_first_items_are_listed_and_the_others_counted(items: list[object], text: str) -> None:
    assert listed(items, 3) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\nb"), "a\\nb"),
        (KeyError(), "KeyError"),
        (MemoryError("malloc"), "it needs too much memory"),
    ],
)
def test_the_reason_is_the_errors_text_or_its_name(error: Exception, text: str) -> None:
    assert reason(error) == text
