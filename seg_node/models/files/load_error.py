"""The one exception of everything that reads a model's files."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seg_node.untrusted.printable import escaped

_LONGEST = 1000  # characters of a message
_MOST_NAMED = 20
_OURS = (ValueError, OSError, RuntimeError, ImportError)  # of which a message is meant for the user


class LoadError(ValueError):
    """A model, configuration, file of labels or exported file that cannot be used.

    Its message is one printable line that names the file and what is wrong with it; where it comes from is
    chained. A missing file is a FileNotFoundError as well, a missing library or device a RuntimeError.
    """


class _MissingFile(LoadError, FileNotFoundError):
    pass


class _MissingPart(LoadError, RuntimeError):
    pass


@contextmanager
def loading(file: str | Path | None, *others: str | Path | None) -> Iterator[None]:
    """Turns whatever goes wrong inside into a LoadError.

    file: what is being read, if anything; put before a message that names neither it nor one of the others.
    """
    try:
        yield
    except LoadError:
        raise
    except Exception as error:  # a file that was made for it can bring any library to raise anything
        names = [str(name) for name in (file, *others) if name is not None]
        is_named = file is None or any(name in str(error) for name in names)
        files = " with ".join(names) or "the model"
        raise _as_load_error(error, "" if is_named else f"{file}: ", files) from error


def one_line(text: str) -> str:
    """The text without line breaks, control characters and lone surrogates; a long one without its middle."""
    line = escaped(re.sub(r"\s+", " ", text).strip())
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"


def some_of(names: Sequence[str]) -> str:
    """The first names for a message of one line, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(one_line(name[:100]) for name in names[:_MOST_NAMED]) + more


def _as_load_error(error: Exception, prefix: str, files: str) -> LoadError:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return LoadError(one_line(f"{files}: need more memory than there is; is it the file that is meant?"))
    if not isinstance(error, _OURS) or isinstance(error, RecursionError):
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return LoadError(one_line(f"{files}: damaged, or not of a form that seg_node knows ({reason})"))
    message = one_line(f"{prefix}{error}")
    if isinstance(error, FileNotFoundError):
        return _MissingFile(message)
    return _MissingPart(message) if isinstance(error, RuntimeError | ImportError) else LoadError(message)
