# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Join a ground truth's categories by the groups of the user's labels file, for `evaluate --by-group`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seg_node.evaluation.coco_fields import Id, one_line
from seg_node.evaluation.ground_truth import InstanceTruth, PanopticTruth
from seg_node.evaluation.panoptic_quality import TrueSegment
from seg_node.evaluation.true_pictures import relabel

Groups = Mapping[str, Sequence[str]]  # names of classes by the name of their group


def join_instances(truth: InstanceTruth, groups: Groups) -> InstanceTruth:
    """Join the categories that have the name of a group or of one of its classes, ignoring case."""
    category_of, names = _join(truth.categories, groups)
    annotations = tuple(
        {**annotation, "category_id": category_of[annotation["category_id"]]}
        for annotation in truth.annotations
    )
    return replace(truth, categories=names, annotations=annotations)


def join_panoptic(truth: PanopticTruth, groups: Groups) -> PanopticTruth:
    """Join the categories as `join_instances` does; regions of one stuff category become one segment.

    Raises ValueError for a group of things and stuff of the ground truth.
    """
    category_of, names = _join(truth.categories, groups)
    for category_id, joined in category_of.items():
        if (category_id in truth.things) != (joined in truth.things):
            two = " and ".join(f"'{one_line(truth.categories[i])}'" for i in (joined, category_id))
            raise ValueError(
                f"group '{one_line(names[joined])}' has the categories {two}, of which the ground truth "
                "counts one as things and one as stuff; correct isthing, or make two groups"
            )
    segments = {
        image_id: tuple(replace(segment, category_id=category_of[segment.category_id]) for segment in found)
        for image_id, found in truth.segments.items()
    }
    listed = [
        {"id": category_id, "name": name, "isthing": int(category_id in truth.things)}
        for category_id, name in names.items()
    ]
    return replace(
        truth,
        categories=names,
        things=frozenset(truth.things & names.keys()),
        segments=segments,
        listed_categories=listed,
        joins_stuff=True,
    )


def join_stuff(
    true_map: NDArray[np.int32], segments: Sequence[TrueSegment], things: Collection[Id]
) -> tuple[NDArray[np.int32], list[TrueSegment]]:
    """Join the segments (H, W) of each stuff category; crowds and others stay apart."""
    whole: dict[tuple[Id, bool], TrueSegment] = {}
    kept: list[TrueSegment] = []
    id_of: dict[int, int] = {}
    for segment in segments:
        key = segment.category_id, segment.is_crowd
        first = segment if segment.category_id in things else whole.setdefault(key, segment)
        id_of[segment.id] = first.id
        if first is segment:
            kept.append(replace(segment, area=None))
    return relabel(true_map, id_of, 0), kept


def _join(categories: Mapping[Id, str], groups: Groups) -> tuple[dict[Id, Id], dict[Id, str]]:
    """Return the id of each category after joining, which is the first's of its group, and the names."""
    group_of = {name.lower(): group for group, names in groups.items() for name in (*names, group)}
    first_of: dict[str, Id] = {}
    category_of: dict[Id, Id] = {}
    joined: dict[Id, str] = {}
    for category_id, name in categories.items():
        group = group_of.get(name.lower())
        category_of[category_id] = category_id if group is None else first_of.setdefault(group, category_id)
        joined.setdefault(category_of[category_id], group or name)
    return category_of, joined
