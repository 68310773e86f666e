# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Class names: from the data sets that published checkpoints were trained on, or from the user's file."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_node.types import LabelSet
from seg_node.untrusted.plain_data import MAX_YAML_BYTES, parse_yaml, read_text
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

# COCO's category ids run from 1 to 90 with ten gaps; torchvision's checkpoints keep them, 0 is background.
_COCO_IDS_LEFT_OUT = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_THING_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
# COCO panoptic, in the order of the category ids
COCO_STUFF_NAMES = (
    "banner", "blanket", "bridge", "cardboard", "counter", "curtain", "door-stuff", "floor-wood", "flower",
    "fruit", "gravel", "house", "light", "mirror-stuff", "net", "pillow", "platform", "playingfield",
    "railroad", "river", "road", "roof", "sand", "sea", "shelf", "snow", "stairs", "tent", "towel",
    "wall-brick", "wall-stone", "wall-tile", "wall-wood", "water-other", "window-blind", "window-other",
    "tree-merged", "fence-merged", "ceiling-merged", "sky-other-merged", "cabinet-merged", "table-merged",
    "floor-other-merged", "pavement-merged", "mountain-merged", "grass-merged", "dirt-merged", "paper-merged",
    "food-other-merged", "building-other-merged", "rock-merged", "wall-other-merged", "rug-merged",
)  # fmt: skip
_COCO_IDS = tuple(i for i in range(1, 91) if i not in _COCO_IDS_LEFT_OUT)

MAX_ID = 65535
_MAX_NAME_LENGTH = 200
_KEYS = ("things", "stuff", "groups", "drop", "ids")
_JOINERS = "\u200c\u200d"  # unprintable, but part of words in some scripts and of emoji

COCO_THINGS = LabelSet(things=dict(zip(_COCO_IDS, COCO_THING_NAMES, strict=True)))


def one_based_labels(
    num_classes: int,
    names: Sequence[str] = (),
    given: LabelSet | None = None,
    stuff_names: Sequence[str] = (),
) -> LabelSet:
    """Number things from 1, as checkpoints do whose class 0 is the background (torchvision), then stuff.

    num_classes: background included.
    names: the checkpoint's; without any, COCO's for 91 classes, otherwise numbers (with a warning).
    given: the user's labels, used instead. stuff_names: one per stuff class.
    Raises ValueError if names or given do not match the classes.
    """
    things, stuff = range(1, num_classes), range(num_classes, num_classes + len(stuff_names))
    if given is not None:
        return _with_given_names(given, things, stuff)
    if names and len(names) != len(things):
        raise ValueError(f"{len(names)} class names for {len(things)} classes")
    if names:
        return LabelSet(dict(zip(things, names, strict=True)), dict(zip(stuff, stuff_names, strict=True)))
    if num_classes == 91 and not stuff_names:
        return COCO_THINGS
    return _warn_and_number(things, stuff)


def zero_based_labels(
    num_things: int, num_stuff: int = 0, names: Sequence[str] = (), given: LabelSet | None = None
) -> LabelSet:
    """Number things from 0, then stuff, as all families but torchvision do.

    names: the checkpoint's, things first; without any, COCO's for 80 things with 0 or 53 stuff classes,
    otherwise numbers (with a warning).
    given: the user's labels, used instead.
    Raises ValueError if names or given do not match the classes.
    """
    things, stuff = range(num_things), range(num_things, num_things + num_stuff)
    if given is not None:
        return _with_given_names(given, things, stuff)
    if names and len(names) != len(things) + len(stuff):
        raise ValueError(f"{len(names)} class names for {len(things) + len(stuff)} classes")
    if not names and num_things == len(COCO_THING_NAMES) and num_stuff in (0, len(COCO_STUFF_NAMES)):
        names = (*COCO_THING_NAMES, *COCO_STUFF_NAMES)
    if names:
        return LabelSet({i: names[i] for i in things}, {i: names[i] for i in stuff})
    return _warn_and_number(things, stuff)


def read_labels_file(path: Path) -> Mapping[str, Any]:
    """Read the YAML of a labels file, for `read_labels` and `groups_file.read_groups`.

    Raises FileNotFoundError; ValueError for a file with other keys or none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such labels file")
    content = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path), unique_keys=True)
    if not isinstance(content, dict) or not content or content.keys() - set(_KEYS):
        raise ValueError(f"{path}: not a labels file (expected the keys {', '.join(_KEYS)}, or some of them)")
    return content


def read_labels(path: Path, first_id: int) -> LabelSet | None:
    """Read the user's names for a checkpoint's classes: a YAML file with `things` and optionally `stuff`.

    Each is a list in the checkpoint's order, or a mapping from class ids to names. Lists are numbered from
    first_id, stuff after things. None: the file has no names, only the keys of `groups_file.read_groups`.
    Raises FileNotFoundError; ValueError for any other content and for names that `check_labels` refuses.
    """
    content = read_labels_file(path)
    if not content.keys() & {"things", "stuff"}:
        return None
    try:
        if "things" not in content:
            raise ValueError("stuff without things; for a model without things add things: []")
        things = _read_names(content["things"], first_id)
        stuff = _read_names(content.get("stuff") or [], max(things, default=first_id - 1) + 1)
        if things.keys() & stuff.keys():
            raise ValueError(f"class {min(things.keys() & stuff.keys())} is both thing and stuff")
        labels = LabelSet(things, stuff)
        check_labels(labels)
        twice = [name for name, count in Counter([*things.values(), *stuff.values()]).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} names two classes")
    except ValueError as error:
        raise ValueError(f"{path}: not a labels file ({error})") from error
    return labels


def check_labels(labels: LabelSet) -> None:
    """Raise ValueError for class names and ids that messages and files cannot hold.

    A name is one printable line of at most 200 characters, an id is from 0 to 65535 (label images have 16
    bits per pixel).
    """
    for class_id, name in (*labels.things.items(), *labels.stuff.items()):
        if type(class_id) is not int or not 0 <= class_id <= MAX_ID:
            raise ValueError(f"class id {class_id!r} is not a number from 0 to {MAX_ID}")
        check_name(name, f"class {class_id}")


def check_name(name: Any, whose: str) -> None:
    """Raise ValueError for a name that is not one printable line of at most 200 characters."""
    if not isinstance(name, str) or not _is_line(name) or not 0 < len(name.strip()) <= _MAX_NAME_LENGTH:
        shown = f"{name[:50]!r}" if isinstance(name, str) else f"a {type(name).__name__}"
        raise ValueError(
            f"the name of {whose} is {shown}, not one printable line of at most {_MAX_NAME_LENGTH} characters"
        )


def check_text(name: Any) -> None:
    """Raise ValueError for what YAML does not read as a text, such as 1 and no."""
    if not isinstance(name, str):
        is_short = name is None or isinstance(name, int | float)
        shown = repr(name) if is_short else f"a {type(name).__name__}"
        raise ValueError(f"{shown} is not a name: write it in quotes")


def _is_line(name: str) -> bool:
    return all(c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs" for c in name)


def _read_names(names: Any, first_id: int) -> dict[int, str]:
    if isinstance(names, list):
        names = dict(enumerate(names, start=first_id))
    if not isinstance(names, dict) or not all(type(i) is int and i >= 0 for i in names):
        raise ValueError("expected a list of names or class ids with names")
    for name in names.values():
        check_text(name)
    return names


def _with_given_names(given: LabelSet, things: range, stuff: range) -> LabelSet:
    """The user's names, and numbers for the classes without one."""
    for kind, names, ids in (("thing", given.things, things), ("stuff", given.stuff, stuff)):
        strange = sorted(names.keys() - set(ids))
        if strange:
            known = f"has {kind} classes {ids.start} … {ids.stop - 1}" if ids else f"has no {kind} classes"
            raise ValueError(
                f"the labels file names {kind} {strange[0]} {names[strange[0]]!r}, but the checkpoint {known}"
            )
    missing = [i for i in (*things, *stuff) if i not in given.things and i not in given.stuff]
    if missing:
        logger.warning("the labels file leaves %d classes without a name: %s", len(missing), listed(missing))
    numbers = _numbers(things, stuff)
    return LabelSet({**numbers.things, **given.things}, {**numbers.stuff, **given.stuff})


def _warn_and_number(things: range, stuff: range) -> LabelSet:
    logger.warning(
        "the checkpoint has %d classes and no names: they are numbered %d … %d; name them in a labels file",
        len(things) + len(stuff),
        things.start,
        (stuff or things).stop - 1,
    )
    return _numbers(things, stuff)


def _numbers(things: range, stuff: range) -> LabelSet:
    return LabelSet({i: str(i) for i in things}, {i: str(i) for i in stuff})
