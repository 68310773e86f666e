# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Lasting ids: match the objects of a frame to those of earlier frames, by mask and class.

The outline (predict, assign by overlap, drop after a while) is that of SORT, Bewley et al. 2016, with masks
instead of boxes, a constant velocity instead of a Kalman filter, seconds instead of frames, and a second
matching for objects that reappear from behind others. Constants were chosen with benchmarks/tracking.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from seg_node.masks.overlap import bounds_xyxy, intersection_areas, mask_ious
from seg_node.types import Instances, MaskCrop, Segmentation

# An object with fewer than VISIBLE_FRACTION of the most pixels it had within RECENT_S is partly hidden. A new
# mask with CONTAINMENT of its pixels inside that fullest mask is then the same object.
VISIBLE_FRACTION, RECENT_S, CONTAINMENT = 0.85, 0.5, 0.5
# Weight of the newest displacement in the velocity
VELOCITY_SMOOTHING = 0.5
# Stamps closer than the frames of any camera are not a clock: such a frame counts as 1/30 s.
MIN_STEP_NS, FRAME_NS = 1_000_000, 33_333_333
# Unseen objects that are kept, the most recent ones: the time per frame grows with their number.
MAX_UNSEEN = 256
MAX_ID = 2**31 - 1  # a Marker's id is an int32


@dataclass(frozen=True)
class TrackOptions:
    """The rules by which two observations are one object.

    min_iou: minimum overlap of the masks, 0 to 1, after the older one is moved by its velocity.
    class_penalty: subtracted from the overlap if the classes differ; 1 or more forbids the match.
    max_age_s: an object unseen for longer, by the images' stamps, gets a new id. Images with stamps of 0 or
    equal stamps count as 1/30 s each.
    """

    min_iou: float = 0.1
    class_penalty: float = 0.1
    max_age_s: float = 2.0


@dataclass(frozen=True)
class _Observation:
    mask: MaskCrop
    area: int
    class_id: int
    stamp_ns: int


@dataclass
class _Track:
    """One object over time.

    last: the newest observation. fullest: the one with most pixels within RECENT_S. velocity: px/s, x and y.
    """

    id: int
    last: _Observation
    fullest: _Observation
    velocity: tuple[float, float] | None = None

    def predicted(self, observation: _Observation, stamp_ns: int) -> MaskCrop:
        """The observation's mask, moved to its expected place at the stamp; may lie outside the image."""
        if self.velocity is None:
            return observation.mask
        seconds = (stamp_ns - observation.stamp_ns) / 1e9
        x, y = (round(speed * seconds) for speed in self.velocity)
        return MaskCrop(observation.mask.x_offset + x, observation.mask.y_offset + y, observation.mask.pixels)

    def update(self, observation: _Observation) -> None:
        """Add a newer observation; its displacement counts unless the object is partly hidden."""
        seconds = (observation.stamp_ns - self.last.stamp_ns) / 1e9
        if seconds > 0 and observation.area >= VISIBLE_FRACTION * self.fullest.area:
            x, y = (step / seconds for step in _displacement(self.last.mask, observation.mask))
            old_x, old_y = self.velocity or (x, y)
            self.velocity = old_x + VELOCITY_SMOOTHING * (x - old_x), old_y + VELOCITY_SMOOTHING * (y - old_y)
        self.last = observation
        if (
            observation.area >= self.fullest.area
            or observation.stamp_ns - self.fullest.stamp_ns > RECENT_S * 1e9
        ):
            self.fullest = observation


class Tracker:
    """Assigns lasting ids to the objects of one camera. No id is used twice, even after a reset."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._last_id = 0
        self._stamp_ns = 0  # of the last image with a stamp
        self._now_ns = 0  # advances with the stamps, and without them
        self._last_count = 0
        self._is_reset = False

    def reset(self) -> None:
        """Forget all objects: the next image gets new ids. May be called from another thread."""
        self._is_reset = True

    def renumber(self, new_ids: Mapping[int, int]) -> None:
        """Give objects of these classes their new class ids, and forget those of all others."""
        kept = [track for track in self._tracks if track.last.class_id in new_ids]
        for track in kept:
            track.last = replace(track.last, class_id=new_ids[track.last.class_id])
        self._tracks = kept

    def update(self, instances: Instances, stamp_ns: int, options: TrackOptions) -> Instances:
        """Return the instances, in order, with the ids of the objects they match, or new ids from 1.

        Every instance has a unique id from its first frame on. stamp_ns: of the image, 0 or less without
        one; a stamp before the last image's starts a new sequence with new ids.
        """
        now_ns = self._advance(stamp_ns)
        self._drop_old(now_ns - round(options.max_age_s * 1e9))
        observations = [
            _Observation(mask, mask.area, class_id, now_ns)
            for mask, class_id in zip(instances.masks, instances.class_ids.tolist(), strict=True)
        ]
        track_of = {j: self._tracks[i] for i, j in _match(self._tracks, observations, now_ns, options)}
        ids = np.zeros(len(observations), np.uint32)
        for j, observation in enumerate(observations):
            if j in track_of:
                track_of[j].update(observation)
            else:
                self._last_id = self._last_id % MAX_ID + 1
                track_of[j] = _Track(self._last_id, observation, observation)
                self._tracks.append(track_of[j])
            ids[j] = track_of[j].id
        self._last_count = len(observations)
        return replace(instances, ids=ids)

    def _advance(self, stamp_ns: int) -> int:
        """Advance the tracker's clock by at least MIN_STEP_NS; drop all tracks on a reset or a jump back."""
        if self._is_reset or 0 < stamp_ns < self._stamp_ns:
            self._is_reset, self._tracks, self._last_count = False, [], 0
        step_ns = stamp_ns - self._stamp_ns
        self._now_ns += step_ns if step_ns >= MIN_STEP_NS else FRAME_NS
        self._stamp_ns = stamp_ns if stamp_ns > 0 else self._stamp_ns
        return self._now_ns

    def _drop_old(self, oldest_ns: int) -> None:
        """Drop tracks unseen since then and, above MAX_UNSEEN, the oldest; never one of the last frame."""
        self._tracks = [track for track in self._tracks if track.last.stamp_ns >= oldest_ns]
        limit = self._last_count + MAX_UNSEEN
        if len(self._tracks) > limit:
            self._tracks = nlargest(limit, self._tracks, key=lambda track: track.last.stamp_ns)


def with_ids(segmentation: Segmentation, ids: NDArray[np.uint32]) -> Segmentation:
    """Replace the instances' ids, uint32 (N,) in order, also in the segments of the panoptic map."""
    instances, panoptic = segmentation.instances, segmentation.panoptic
    if panoptic is not None:
        new_id = dict(zip(instances.ids.tolist(), ids.tolist(), strict=True))
        segments = (replace(old, instance_id=new_id.get(old.instance_id, 0)) for old in panoptic.segments)
        panoptic = replace(panoptic, segments=tuple(segments))
    return replace(segmentation, instances=replace(instances, ids=ids), panoptic=panoptic)


def _match(
    tracks: list[_Track], observations: list[_Observation], stamp_ns: int, options: TrackOptions
) -> list[tuple[int, int]]:
    """Pairs (track, observation): first by IoU of the masks, then objects that reappear behind others."""
    if not tracks or not observations:
        return []
    masks, areas = (
        [observation.mask for observation in observations],
        np.array([s.area for s in observations]),
    )
    last_areas = np.array([track.last.area for track in tracks])
    shared = intersection_areas([track.predicted(track.last, stamp_ns) for track in tracks], masks)
    classes = np.array([observation.class_id for observation in observations])
    other_class = np.array([track.last.class_id for track in tracks])[:, None] != classes
    score = mask_ious(shared, last_areas, areas) - options.class_penalty * other_class
    pairs = _assign(score, options.min_iou)
    lost = np.setdiff1d(np.arange(len(tracks)), [i for i, _ in pairs])
    new = np.setdiff1d(np.arange(len(observations)), [j for _, j in pairs])
    if len(lost) and len(new):
        shared = intersection_areas(
            [tracks[i].predicted(tracks[i].fullest, stamp_ns) for i in lost], [masks[j] for j in new]
        )
        inside = shared / np.maximum(areas[new], 1)
        seen = np.minimum(last_areas[lost][:, None], areas[new])
        was_hidden = seen < VISIBLE_FRACTION * np.array([[tracks[i].fullest.area] for i in lost])
        inside[other_class[np.ix_(lost, new)] | ~was_hidden] = 0
        pairs += [(int(lost[i]), int(new[j])) for i, j in _assign(inside, CONTAINMENT)]
    return pairs


def _assign(score: NDArray[np.float64], minimum: float) -> list[tuple[int, int]]:
    """Pairs (row, column), each used once, with the highest total score; no pair is below `minimum`."""
    score = np.where((score >= minimum) & (score > 0), score, 0)
    rows, columns = linear_sum_assignment(score, maximize=True)
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if score[i, j]]


def _displacement(old: MaskCrop, new: MaskCrop) -> tuple[int, int]:
    """The object's movement in x and y: that of the slower of two opposite edges, 0 if they diverge.

    An object that moves behind another one loses one edge only, which is not movement.
    """
    low_x, low_y, high_x, high_y = np.subtract(*bounds_xyxy([new, old])).tolist()
    return _smaller_if_same_sign(low_x, high_x), _smaller_if_same_sign(low_y, high_y)


def _smaller_if_same_sign(a: int, b: int) -> int:
    return min(a, b, key=abs) if a * b > 0 else 0
