# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Class names of a transformers checkpoint, and which of them are stuff."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from seg_node.labels import COCO_STUFF_NAMES, COCO_THING_NAMES
from seg_node.types import LabelSet

logger = logging.getLogger(__name__)


def class_names(config: Any) -> dict[int, str]:
    """Return the names in the library's configuration of a network, by class id."""
    return {int(class_id): str(name) for class_id, name in config.id2label.items()}


def choose_labels(
    folder: Path, names: Mapping[int, str], thing_ids: Collection[int] | None, given: LabelSet | None
) -> LabelSet:
    """Separate things from stuff.

    names: the checkpoint's. thing_ids: its own things, if it names them. given: the user's labels.
    Raises ValueError if the user's labels name a class that the checkpoint does not have.
    """
    named = {class_id: name for class_id, name in names.items() if name != "N/A"}  # COCO's unused ids
    if given is not None:
        given = _by_name(given, named)
        unknown = sorted((given.things.keys() | given.stuff.keys()) - names.keys())
        if unknown:
            raise ValueError(f"{folder}: has classes up to {max(names)}, but the labels name {unknown[0]}")
        return LabelSet(
            {**{i: name for i, name in named.items() if i not in given.stuff}, **given.things}, given.stuff
        )
    if thing_ids is not None:
        stuff = named.keys() - set(thing_ids)
    elif set(COCO_STUFF_NAMES) <= set(named.values()):
        stuff = {i for i, name in named.items() if name in COCO_STUFF_NAMES}
    else:
        stuff = set()
        if not set(named.values()) <= set(COCO_THING_NAMES):
            logger.warning(
                "%s does not say which of its classes are stuff: all are treated as things; list things and "
                "stuff in a file of labels, by the checkpoint's own names",
                folder,
            )
    return LabelSet(
        things={i: name for i, name in named.items() if i not in stuff},
        stuff={i: name for i, name in named.items() if i in stuff},
    )


def _by_name(given: LabelSet, named: Mapping[int, str]) -> LabelSet:
    """Map the user's labels to the checkpoint's ids if it knows all of their names."""
    id_of = {name: class_id for class_id, name in named.items()}
    if not {*given.things.values(), *given.stuff.values()} <= id_of.keys():
        return given
    return LabelSet(
        {id_of[name]: name for name in given.things.values()},
        {id_of[name]: name for name in given.stuff.values()},
    )
