# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The description inside an exported YOLO file: texts of unknown origin, parsed within bounds."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seg_node.untrusted.printable import printable

# 65536 classes, the most that label images hold, with names of some 30 characters
_LONGEST_NAMES = 2_000_000  # characters
_MOST_CLASSES = 65_536
_LONGEST_TEXT = 100
_LARGEST_SIDE = 4096  # pixels
_LARGEST_STRIDE = 256
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_CLASS = re.compile(rf"\s*(\d{{1,5}})\s*:\s*({_TEXT})\s*(,|$)")
_SIZE = re.compile(r"\[(\d{1,5}), ?(\d{1,5})\]")

EXPORT = "yolo export model=FILE.pt format=onnx"


@dataclass(frozen=True)
class YoloMetadata:
    """What a file says of its network.

    names: of the classes, by class id from 0. input_size: (height, width) that it was exported for.
    stride: of its coarsest map, in pixels. end_to_end: it selects the detections itself.
    """

    names: tuple[str, ...]
    input_size: tuple[int, int]
    stride: int
    end_to_end: bool


def parse_metadata(texts: Mapping[str, str]) -> YoloMetadata:
    """Parse the metadata of a segmentation network for colour images.

    Raises ValueError for the metadata of another file or task, and for values that no export writes.
    """
    task = texts.get("task")
    if task is None:
        raise ValueError(
            "is an ONNX model without the metadata of a YOLO export; give the checkpoint that it was made "
            "from (a file of seg_node export goes to engine; a YOLO segmentation model is exported by "
            f"{EXPORT})"
        )
    if task != "segment":
        raise ValueError(
            f"is a YOLO model for the task {printable(task)!r}, which gives no masks; export a segmentation "
            f"model (FILE-seg.pt, task segment): {EXPORT}"
        )
    channels = _number(texts.get("channels", "3"), "channels", _LONGEST_TEXT)
    if channels != 3:
        raise ValueError(
            f"takes images of {channels} channels; only networks for colour images are supported"
        )
    stride = _number(texts.get("stride", ""), "stride", _LARGEST_STRIDE)
    return YoloMetadata(
        names=_parse_names(texts.get("names", "")),
        input_size=_parse_size(texts.get("imgsz", ""), stride),
        stride=stride,
        end_to_end=texts.get("end2end") == "True",
    )


def _number(text: str, key: str, largest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= largest:
        raise _bad(key, text, f"a number from 1 to {largest}")
    return int(text)


def _parse_size(text: str, stride: int) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(0 < side <= _LARGEST_SIDE and side % stride == 0 for side in size):
        raise _bad("imgsz", text, f"[height, width] in multiples of {stride} of at most {_LARGEST_SIDE}")
    return size


def _parse_names(text: str) -> tuple[str, ...]:
    """Parse {0: 'person', 1: "driver's cab"}, as Python prints it; only the texts are evaluated."""
    names: dict[int, str] = {}
    inner = text[1:-1].strip()
    place = 0
    if text[:1] != "{" or text[-1:] != "}" or not inner or len(text) > _LONGEST_NAMES:
        raise _bad_names(text)
    while place < len(inner):
        match = _CLASS.match(inner, place)
        if match is None or int(match[1]) != len(names) or len(names) == _MOST_CLASSES:
            raise _bad_names(text)
        try:
            names[len(names)] = str(ast.literal_eval(match[2]))
        except (SyntaxError, ValueError) as error:  # such as '\x'
            raise _bad_names(text) from error
        place = match.end()
    return tuple(names.values())


def _bad_names(text: str) -> ValueError:
    return _bad("names", text, "a dictionary of the names of classes 0, 1, 2 …")


def _bad(key: str, text: str, expected: str) -> ValueError:
    return ValueError(f"its metadata {key} is {printable(text)!r}, not {expected}; export it again: {EXPORT}")
