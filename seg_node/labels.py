"""Class names: of the data sets that published checkpoints were trained on, or of the user's own file."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg_node.types import LabelSet
from seg_node.untrusted.plain_data import MAX_YAML_BYTES, parse_yaml, read_text

logger = logging.getLogger(__name__)

# COCO's category ids run to 90 with ten left out; torchvision's checkpoints keep them, 0 is the background.
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
# of COCO panoptic, in the order of their category ids
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

_MAX_ID = 65535
_LONGEST_NAME = 200
_JOINERS = "\u200c\u200d"  # within words of some scripts, and emoji

COCO_THINGS = LabelSet(things=dict(zip(_COCO_IDS, COCO_THING_NAMES, strict=True)))


def labels_for(
    num_classes: int,
    names: Sequence[str] = (),
    given: LabelSet | None = None,
    stuff_names: Sequence[str] = (),
) -> LabelSet:
    """The classes 1, 2, … of a checkpoint that counts the background as class 0 (torchvision), then stuff.

    num_classes: with the background.
    names: the checkpoint's own; without them COCO's, if there are 91 classes, else numbers (with a warning).
    given: the user's, used instead. stuff_names: one for each class of stuff.
    Raises ValueError when names or given ones do not fit the classes.
    """
    things, stuff = range(1, num_classes), range(num_classes, num_classes + len(stuff_names))
    if given is not None:
        return _complete(given, things, stuff)
    if names and len(names) != len(things):
        raise ValueError(f"{len(names)} class names for {len(things)} classes")
    if names:
        return LabelSet(dict(zip(things, names, strict=True)), dict(zip(stuff, stuff_names, strict=True)))
    if num_classes == 91 and not stuff_names:
        return COCO_THINGS
    return _numbered(things, stuff)


def zero_based_labels(
    num_things: int, num_stuff: int = 0, names: Sequence[str] = (), given: LabelSet | None = None
) -> LabelSet:
    """Things 0, 1, …, then stuff: as all families but torchvision count.

    names: the checkpoint's own, things first; without them COCO's for 80 things, alone or with 53 of stuff,
    else numbers (with a warning).
    given: the user's, used instead.
    Raises ValueError when names or given ones do not fit the classes.
    """
    things, stuff = range(num_things), range(num_things, num_things + num_stuff)
    if given is not None:
        return _complete(given, things, stuff)
    if names and len(names) != len(things) + len(stuff):
        raise ValueError(f"{len(names)} class names for {len(things) + len(stuff)} classes")
    if not names and num_things == len(COCO_THING_NAMES) and num_stuff in (0, len(COCO_STUFF_NAMES)):
        names = (*COCO_THING_NAMES, *COCO_STUFF_NAMES)
    if names:
        return LabelSet({i: names[i] for i in things}, {i: names[i] for i in stuff})
    return _numbered(things, stuff)


def read_labels(path: Path, first_id: int) -> LabelSet:
    """The user's names for a checkpoint's classes, from a YAML file with `things` and perhaps `stuff`.

    Each is a list, in the checkpoint's order, or a mapping of class ids to names. Lists count from first_id,
    stuff after the things.
    Raises FileNotFoundError; ValueError for a file of another form, also as `check_labels` does.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of class names")
    content = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
    try:
        if not isinstance(content, dict) or "things" not in content or content.keys() - {"things", "stuff"}:
            raise ValueError("expected the keys things and, if there are any, stuff")
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
        raise ValueError(f"{path}: not a file of class names ({error})") from error
    return labels


def check_labels(labels: LabelSet) -> None:
    """Raises ValueError for names and ids of classes that messages and files cannot carry.

    A name is one printable line of at most 200 characters, an id is from 0 to 65535 (the pixels of a label
    image have 16 bits).
    """
    for class_id, name in (*labels.things.items(), *labels.stuff.items()):
        if type(class_id) is not int or not 0 <= class_id <= _MAX_ID:
            raise ValueError(f"class id {class_id!r} is not a number from 0 to {_MAX_ID}")
        if not isinstance(name, str) or not _is_line(name) or not 0 < len(name.strip()) <= _LONGEST_NAME:
            shown = f"{name[:50]!r}" if isinstance(name, str) else f"a {type(name).__name__}"
            raise ValueError(
                f"the name of class {class_id} is {shown}, not one printable line of at most {_LONGEST_NAME} "
                "characters"
            )


def _is_line(name: str) -> bool:
    return all(c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs" for c in name)


def _read_names(names: Any, first_id: int) -> dict[int, str]:
    if isinstance(names, list):
        names = dict(enumerate(names, start=first_id))
    if not isinstance(names, dict) or not all(type(i) is int and i >= 0 for i in names):
        raise ValueError("expected a list of names or class ids with names")
    odd = [name for name in names.values() if not isinstance(name, str)]
    if odd:
        is_short = odd[0] is None or isinstance(odd[0], int | float)
        shown = repr(odd[0]) if is_short else f"a {type(odd[0]).__name__}"
        raise ValueError(f"{shown} is not a name: write it in quotes")
    return names


def _complete(given: LabelSet, things: range, stuff: range) -> LabelSet:
    """The user's names, numbers for the classes that they leave out."""
    for kind, names, ids in (("thing", given.things, things), ("stuff", given.stuff, stuff)):
        strange = sorted(names.keys() - set(ids))
        if strange:
            known = f"has {kind} classes {ids.start} … {ids.stop - 1}" if ids else f"has no {kind} classes"
            raise ValueError(
                f"the labels file names {kind} {strange[0]} {names[strange[0]]!r}, but the checkpoint {known}"
            )
    missing = [i for i in (*things, *stuff) if i not in given.things and i not in given.stuff]
    if missing:
        more = ", …" if len(missing) > 10 else ""
        listed = ", ".join(map(str, missing[:10])) + more
        logger.warning("the labels file leaves %d classes without a name: %s", len(missing), listed)
    numbers = _numbers(things, stuff)
    return LabelSet({**numbers.things, **given.things}, {**numbers.stuff, **given.stuff})


def _numbered(things: range, stuff: range) -> LabelSet:
    logger.warning(
        "the checkpoint has %d classes and no names: they are called %d … %d; a labels file names them",
        len(things) + len(stuff),
        things.start,
        (stuff or things).stop - 1,
    )
    return _numbers(things, stuff)


def _numbers(things: range, stuff: range) -> LabelSet:
    return LabelSet({i: str(i) for i in things}, {i: str(i) for i in stuff})
