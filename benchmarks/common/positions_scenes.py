# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's stream with its ground truth for `positions.py`, and pictures of boxes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.draw import to_bgr
from seg_node.drawing.palette import object_colour
from seg_node.evaluation.ground_truth import read_panoptic_truth, read_segment_map
from seg_node.images.decode import decode_message
from seg_node.images.depth import DepthImage, decode_depth
from seg_node.masks.crop import tight_crop
from seg_node.ros.messages.camera_info import to_pinhole
from seg_node.sources.bags.frames import open_bag
from seg_node.spatial.lift import LiftOptions, Object3D, lift_instances
from seg_node.spatial.pinhole import Pinhole
from seg_node.spatial.transform import RigidTransform
from seg_node.types import Instances

COLOUR, DEPTH = "/camera/color", "/camera/aligned_depth_to_color"
TOPICS = (f"{COLOUR}/image_raw/compressed", f"{DEPTH}/image_raw/compressedDepth", f"{DEPTH}/camera_info")
# Corners of a box, and which of them its twelve edges join: those that differ in one place.
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
EDGES = [(a, b) for a in range(8) for b in range(a) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1]


@dataclass(frozen=True)
class Thing:
    """Where an object really is in the optical frame: its own box, axes as columns."""

    kind: str
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One frame. instances: the things' true masks, in their order."""

    bgr: NDArray[np.uint8]
    depth: DepthImage
    pinhole: Pinhole
    things: tuple[Thing, ...]
    instances: Instances

    def with_depth(self, metres: NDArray[np.float32]) -> "Scene":
        return replace(self, depth=DepthImage(metres))

    @cached_property
    def _points(self) -> tuple[Object3D, ...]:
        everything = LiftOptions(erosion_px=0, min_points=1, max_points=10**9, keep_points=True)
        return lift_instances(self.instances, self.depth, self.pinhole, everything)

    def seen(self, thing: int) -> NDArray[np.float64]:
        """The visible points (N, 3) of a thing."""
        return self._points[thing].points.astype(np.float64)


def read_scenes(bag: Path, wanted: int | None = None) -> Iterator[Scene]:
    """All frames, or about so many of them, evenly; things of which nothing is visible are left out."""
    truth = read_panoptic_truth(bag / "truth/panoptic.json", bag / "truth/panoptic")
    poses = json.loads((bag / "truth/poses.json").read_text())["frames"]
    step = max(1, len(poses) // wanted) if wanted else 1
    for frame, messages in enumerate(_messages(bag)):
        if frame % step:
            continue
        colour, depth, info = messages
        ids = read_segment_map(truth.maps[poses[frame]["image_id"]])
        seen = [thing for thing in poses[frame]["objects"] if (ids == thing["segment_id"]).any()]
        masks = tuple(tight_crop(ids == thing["segment_id"]) for thing in seen)
        yield Scene(
            to_bgr(decode_message(colour)),
            decode_depth(depth),
            to_pinhole(info, ids.shape),
            tuple(_thing(thing) for thing in seen),
            Instances(
                np.zeros((len(seen), 4), np.float32),
                np.ones(len(seen), np.float32),
                np.zeros(len(seen), np.int32),
                masks,
                np.array([thing["segment_id"] - 100 for thing in seen], np.uint32),
            ),
        )


def draw(scene: Scene, objects: Sequence[Object3D]) -> NDArray[np.uint8]:
    """The picture, twice as large: the objects' boxes and centroids in colours, the true boxes in white."""
    picture = cv2.resize(scene.bgr, None, fx=2, fy=2)
    true = [(thing.centre, thing.axes, thing.size, (255, 255, 255), 1) for thing in scene.things]
    found = [(o.centre, o.axes, o.size, object_colour(o.id), 2) for o in objects if o.num_points]
    for centre, axes, size, colour, width in true + found:
        corners = 2 * scene.pinhole.project(CORNERS * size @ axes.T + centre) + 0.5
        for a, b in EDGES:
            ends = [tuple(np.rint(corners[i]).astype(int).tolist()) for i in (a, b)]
            cv2.line(picture, ends[0], ends[1], colour, width, cv2.LINE_AA)
    for found_one in objects:
        if found_one.num_points:
            column, row = np.rint(2 * scene.pinhole.project(found_one.centroid[None])[0]).astype(int).tolist()
            cv2.drawMarker(picture, (column, row), object_colour(found_one.id), cv2.MARKER_CROSS, 12, 2)
    return np.asarray(picture, np.uint8)


def _messages(bag: Path) -> Iterator[tuple[Any, ...]]:
    """(colour, depth, calibration) of each frame: in this bag all have the same stamps."""
    with open_bag(bag) as opened:
        streams = [opened.messages([topic], _refuse) for topic in TOPICS]
        for messages in zip(*streams, strict=True):
            yield tuple(map(opened.deserialize, messages))


def _refuse(error: Exception) -> None:
    raise error


def _thing(pose: dict[str, Any]) -> Thing:
    turned = RigidTransform.of(0, 0, 0, *pose["orientation"])
    return Thing(pose["kind"], np.array(pose["centre"]), turned.rotation, np.array(pose["size"]))
