# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Instances of frame after frame → lasting ids (seg_node.track), whatever the stamps and masks."""

import pickle
from pathlib import Path
from random import Random

import numpy as np

from fuzz.target import Input, Target
from seg_node.track import Tracker, TrackOptions
from seg_node.types import Instances, MaskCrop

_STEPS_NS = (0, 0, 1, 33_000_000, 33_000_000, 2_000_000_000, -1, -(10**9), 10**18, 1 << 62)
# What a tracker may keep: pickled, an object takes 180 bytes. Without forgetting 250 000 are reached.
_MOST_BYTES = 100_000


def make(random: Random) -> Input:
    """Frames of objects [x, y, width, height, class]; most steps between their stamps are the same."""
    step = random.choice(_STEPS_NS)
    stamp, frames = random.choice((0, 10**9, -5, (1 << 31) * 10**9)), []
    for _ in range(random.choice((3, 10, 300)) if step else 1000):
        stamp += step if step == 0 or random.random() < 0.9 else random.choice(_STEPS_NS)
        objects = [
            [random.randrange(-5, 60), random.randrange(40), random.randrange(12), random.randrange(12), 1]
        ]
        objects += [
            [random.randrange(60), random.randrange(40), 8, 8, random.choice((0, 1, -1))] for _ in range(3)
        ]
        frames.append({"stamp_ns": stamp, "objects": objects[: random.randrange(5)]})
    return {
        "frames": frames,
        "min_iou": random.choice((0.0, 0.1, 1.0)),
        "class_penalty": random.choice((0.0, 0.1, 1.0)),
        "max_age_s": random.choice((0.0, 2.0, 3600.0)),
    }


def run(fields: Input, folder: Path) -> None:
    tracker = Tracker()
    options = TrackOptions(fields["min_iou"], fields["class_penalty"], fields["max_age_s"])
    for frame in fields["frames"]:
        instances = _instances(frame["objects"])
        ids = tracker.update(instances, frame["stamp_ns"], options).ids
        assert len(set(ids.tolist())) == len(ids) == len(instances)
        assert (ids > 0).all()
    if len({frame["stamp_ns"] for frame in fields["frames"]}) == 1:  # nothing ever grows old by the stamps
        assert len(pickle.dumps(tracker)) < _MOST_BYTES, "objects of frozen stamps are never forgotten"


def _instances(objects: list[list[int]]) -> Instances:
    masks = tuple(MaskCrop(x, y, np.ones((height, width), bool)) for x, y, width, height, _ in objects)
    count = len(objects)
    return Instances(
        boxes_xyxy=np.zeros((count, 4), np.float32),
        scores=np.linspace(1, 0.5, count, dtype=np.float32),
        class_ids=np.array([entry[4] for entry in objects], np.int32),
        masks=masks,
        ids=np.arange(1, count + 1, dtype=np.uint32),
    )


def _frozen() -> Input:
    """One object that is somewhere else in each of a thousand images, all with the stamp 0."""
    frames = [{"stamp_ns": 0, "objects": [[10 * i, 0, 8, 8, 1]]} for i in range(1000)]
    return {"frames": frames, "min_iou": 0.1, "class_penalty": 0.1, "max_age_s": 2.0}


TARGET = Target("tracker", make, run, (), cpu_s=10, known={"stamps that stand still": _frozen})
