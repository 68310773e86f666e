# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Texts of unknown origin (file names, errors, messages) on one printable line of a log or an error."""

from collections.abc import Iterable

MAX_LINE_LENGTH = 300


def escaped(text: str) -> str:
    """Escape unprintable characters, line breaks among them, as `\\n`, `\\x1b`, `\\u202e` …"""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable(text: str, longest: int = 60) -> str:
    """Escape the text and cut it off after `longest` characters.

    Line breaks, terminal escapes, invisible and right-to-left controls become `\\n`, `\\x1b`, `\\u202e` …
    """
    kept: list[str] = []
    length = 0
    for character in text[:longest]:
        shown = escaped(character)
        length += len(shown)
        if length > longest:
            break
        kept.append(shown)
    cut = f"… ({len(text)} characters)" if len(kept) < len(text) else ""
    return "".join(kept) + cut


def one_line(text: str, longest: int = MAX_LINE_LENGTH) -> str:
    """Escape the text; of one over `longest` characters cut out the middle, so that a path keeps its end."""
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-(longest // 3) :]}"
    return escaped(text)


def reason(error: BaseException) -> str:
    """The error's message on one line, or its type's name if it has none."""
    if isinstance(error, MemoryError):
        return "it needs too much memory"
    return one_line(str(error)) or type(error).__name__


def listed(items: Iterable[object], limit: int = 20) -> str:
    """Return the first `limit` items and the number of the others, "a, b and 3 more"; "none" without any."""
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(one_line(str(item), 100) for item in items[:limit]) + more or "none"
