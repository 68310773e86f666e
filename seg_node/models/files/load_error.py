# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The single exception raised by code that reads a model's files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seg_node.untrusted.printable import escaped

_LONGEST = 1000  # characters of a message
_EXPECTED = (ValueError, OSError, RuntimeError, ImportError)  # their messages are meant for the user


class LoadError(ValueError):
    """A model, configuration, label file or exported file that cannot be used.

    Its message is one printable line that names the file and the problem; the original error is chained.
    A missing file is also a FileNotFoundError, a missing library or device also a RuntimeError.
    """


class _MissingFile(LoadError, FileNotFoundError):
    pass


class _MissingPart(LoadError, RuntimeError):
    pass


@contextmanager
def loading(file: str | Path | None, *others: str | Path | None) -> Iterator[None]:
    """Convert any exception raised inside to a LoadError.

    file: the file being read, if any; prefixed to a message that names neither it nor one of the others.
    """
    try:
        yield
    except LoadError:
        raise
    except Exception as error:  # a malicious file can make any library raise anything
        names = [str(name) for name in (file, *others) if name is not None]
        is_named = file is None or any(name in str(error) for name in names)
        files = " with ".join(names) or "the model"
        raise _as_load_error(error, "" if is_named else f"{file}: ", files) from error


def one_line(text: str) -> str:
    """Escape the text to one printable line; a long text loses its middle."""
    line = escaped(re.sub(r"\s+", " ", text).strip())
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"


def _as_load_error(error: Exception, prefix: str, files: str) -> LoadError:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return LoadError(one_line(f"{files}: need more memory than is available; is it the right file?"))
    if not isinstance(error, _EXPECTED) or isinstance(error, RecursionError):
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return LoadError(one_line(f"{files}: damaged, or in a format that seg_node does not know ({reason})"))
    message = one_line(f"{prefix}{error}")
    if isinstance(error, FileNotFoundError):
        return _MissingFile(message)
    return _MissingPart(message) if isinstance(error, RuntimeError | ImportError) else LoadError(message)
