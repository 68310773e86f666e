"""Texts of unknown origin (file names, errors, topics) as one line of a log."""

from seg_node.untrusted.printable import escaped

LONGEST = 300


def one_line(text: str, longest: int = LONGEST) -> str:
    """Escape line breaks, control characters and bytes that are no UTF-8; cut the middle of a longer text."""
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-(longest // 3) :]}"
    return escaped(text)


def reason(error: BaseException) -> str:
    """What an error says, or else its name, as one line."""
    if isinstance(error, MemoryError):
        return "it needs too much memory"
    return one_line(str(error)) or type(error).__name__
