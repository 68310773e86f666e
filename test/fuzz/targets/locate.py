# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks, depth image and CameraInfo → objects in metres (seg_node.ros.node.locate)."""

import struct
from array import array
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.ros.node.locate import NotLocated, locate
from seg_node.spatial.lift import LiftOptions
from seg_node.types import Frame, Instances, MaskCrop

_HEIGHT, _WIDTH = 24, 33


def make(random: Random) -> Input:
    """A right calibration and depth image with some wrong numbers."""
    fields = _valid(_depths(random))
    fields |= {"min_points": random.choice((4, 20)), "erosion": random.choice((0, 2, 50))}
    if random.random() < 0.5:
        fields["p"] = [0.0] * 12
    for name in random.sample(sorted(fields), random.choice((0, 1, 1, 2))):
        fields[name] = _odd(name, fields[name], random)
    return fields


def _valid(depths: list[float]) -> Input:
    return {
        "height": _HEIGHT,
        "width": _WIDTH,
        "k": [30.0, 0.0, 16.0, 0.0, 30.0, 12.0, 0.0, 0.0, 1.0],
        "p": [30.0, 0.0, 16.0, 0.0, 0.0, 30.0, 12.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning": [0, 0],
        "roi": [0, 0, 0, 0],
        "depth": struct.pack(f"<{_HEIGHT * _WIDTH}f", *depths),
        "encoding": "32FC1",
        "depth_size": [_HEIGHT, _WIDTH],
        "step": _WIDTH * 4,
        "min_points": 20,
        "erosion": 2,
    }


def _with_p(at: int, number: float) -> Input:
    fields = _valid([1.0 + i / 1000 for i in range(_HEIGHT * _WIDTH)])
    fields["p"][at] = number
    return fields


def _depths(random: Random) -> list[float]:
    base = random.choice((0.5, 1.0, 1e-30, 1e30, 3e38))
    odd = random.choice((0.0, 0.1, 1.0))
    return [
        base + random.random() if random.random() >= odd else _single(random) for _ in range(_HEIGHT * _WIDTH)
    ]


def _single(random: Random) -> float:
    number = mutate.real(random)
    return number if not abs(number) > 3.4e38 or number == float("inf") else float("nan")


def _odd(name: str, old: Any, random: Random) -> Any:
    if name in ("k", "p"):
        changed = list(old)
        for at in random.sample(range(len(old)), random.choice((1, 3))):
            changed[at] = mutate.real(random)
        return changed
    if name == "depth":
        return random.choice((b"", old[:-1], random.randbytes(len(old))))
    if name == "encoding":
        return random.choice(("16UC1", "mono16", "64FC1", "", "bgr8"))
    if name == "depth_size":
        return [random.choice((0, 1, 24, 25)), random.choice((0, 1, 33, 66, 1 << 31))]
    if isinstance(old, list):
        return [random.choice((number, mutate.integer(random))) for number in old]
    if name in ("min_points", "erosion"):
        return random.choice((4, 50))
    return mutate.integer(random)


def run(fields: Input, folder: Path) -> None:
    info = CameraInfo(height=fields["height"], width=fields["width"], k=fields["k"], p=fields["p"])
    info.binning_x, info.binning_y = fields["binning"]
    roi = info.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = fields["roi"]
    height, width = fields["depth_size"]
    depth = Image(height=height, width=width, step=fields["step"], encoding=fields["encoding"])
    depth.data = array("B", fields["depth"])
    frame = Frame(np.zeros((_HEIGHT, _WIDTH, 3), np.uint8), "bgr", 1, "camera")
    options = LiftOptions(fields["erosion"], fields["min_points"], 10_000, keep_points=True)
    space = locate(frame, _instances(), depth, info, options, None)
    for found in space.objects:
        if found.num_points:
            for numbers in (found.centroid, found.centre, found.axes, found.size):
                assert np.isfinite(numbers).all(), "an object that is located has places that are no numbers"


def _instances() -> Instances:
    masks = (
        MaskCrop(0, 0, np.ones((_HEIGHT, _WIDTH), bool)),
        MaskCrop(5, 6, np.ones((9, 11), bool)),
        MaskCrop(32, 23, np.ones((1, 1), bool)),
        MaskCrop.empty(),
    )
    return Instances(
        boxes_xyxy=np.zeros((4, 4), np.float32),
        scores=np.ones(4, np.float32),
        class_ids=np.ones(4, np.int32),
        masks=masks,
        ids=np.arange(1, 5, dtype=np.uint32),
    )


TARGET = Target(
    "locate",
    make,
    run,
    (NotLocated,),
    cpu_s=2,
    batch=2000,
    known={
        "no focal length": lambda: _with_p(5, 0.0),
        "a focal length that is no number": lambda: _with_p(0, float("nan")),
        "an axis that is no number": lambda: _with_p(2, float("nan")),
        "depth near the greatest number": lambda: _valid([3.4e38] * (_HEIGHT * _WIDTH)),
    },
)
