"""Text that came from elsewhere, made fit for a log line or an error message."""


def escaped(text: str) -> str:
    """Return the text with unprintable characters, line breaks among them, as `\\n`, `\\x1b`, `\\u202e` …"""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable(text: str, longest: int = 60) -> str:
    """Return the text on one line, unprintable characters escaped, cut off after `longest` characters.

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
