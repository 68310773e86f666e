"""What is wrong with a weights file that no reader takes, told from its first bytes and its size."""

import re
import zipfile
from pathlib import Path

_HEAD = 1024  # bytes that are looked at
_AGAIN = "download it again"
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_WEB_PAGE = re.compile(r"\s*(<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)


def describe_damage(path: Path) -> str | None:
    """What the file is instead of weights and what to do, such as "is empty; download it again".

    None where nothing of this is plain to see. Only for files that could not be read: an old pickle, for
    one, is a text as well.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return f"is empty; {_AGAIN}"
    text = _as_text(head)
    if text is not None:
        return _describe_text(text)
    is_cut_zip = head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path)
    is_safetensors = head[8:9] == b"{"
    if is_cut_zip or is_safetensors:
        return f"is cut off or damaged ({size} bytes); {_AGAIN}"
    return None


def describe_binary(path: Path) -> str:
    """As `describe_damage`, for a pickle that ends early or has bytes that are none of a pickle's."""
    with path.open("rb") as file:
        begins_as_pickle = file.read(1) == b"\x80"
    if begins_as_pickle:
        return f"is cut off or damaged ({path.stat().st_size} bytes); {_AGAIN}"
    return f"is no weights file (.safetensors, .pth of torch.save, .pkl), or damaged; {_AGAIN}"


def _as_text(head: bytes) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < _HEAD:  # a character cut at the end of the head is fine
            return None
        text = head[: error.start].decode("utf-8")
    return None if _CONTROL.search(text) else text


def _describe_text(text: str) -> str:
    if text.startswith("version https://git-lfs"):
        return "is a text file (a Git LFS pointer), not the weights; run git lfs pull in its repository"
    if _WEB_PAGE.match(text):
        return "is a web page, not weights; download the file that the page links to"
    first_line = text.strip().split("\n", 1)[0][:40]
    return f"is a text file, not weights; it begins with {first_line!r}"
