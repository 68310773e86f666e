"""Ids that last: the objects of a frame are matched to those of the frames before, by mask and class.

Source of the outline (predict, one optimal assignment by overlap, forget after a while): SORT, Bewley et al.
2016; here with masks for boxes, a constant velocity for the Kalman filter, seconds for frames, and a second
look for what comes out from behind something. The numbers were chosen with benchmarks/tracking.py.
"""

from dataclasses import dataclass, replace
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from seg_node.masks.overlap import mask_edges, mask_ious, shared_areas
from seg_node.types import Instances, MaskCrop, Segmentation

# An observation with less than WHOLE of the pixels that the object had at most within RECENT_S is taken for
# partly hidden. What then lies to INSIDE within that earlier mask is the same object.
WHOLE, RECENT_S, INSIDE = 0.85, 0.5, 0.5
# Weight of the newest displacement in the velocity.
NEWEST = 0.5
# Stamps closer than any camera's frames do not tell the time; a frame then counts as one of 30 Hz.
LEAST_STEP_NS, FRAME_NS = 1_000_000, 33_333_333
# Of the objects out of sight so many are remembered, those seen last; the time of a frame grows with them.
MOST_UNSEEN = 256
LAST_ID = 2**31 - 1  # a Marker's id is an int32


@dataclass(frozen=True)
class TrackOptions:
    """What makes two observations one object.

    min_iou: overlap, 0 to 1, that the masks must have at least, after the older one was moved on.
    class_penalty: subtracted from the overlap when the classes differ; 1 or more forbids it.
    max_age_s: an object not seen for longer, by the images' stamps, comes back with a new id. Of images whose
    stamps are 0 or stand still each counts as 1/30 s.
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
    """last: its newest observation. whole: the one with most pixels in RECENT_S. velocity: px/s, x and y."""

    id: int
    last: _Observation
    whole: _Observation
    velocity: tuple[float, float] | None = None

    def moved(self, observation: _Observation, stamp_ns: int) -> MaskCrop:
        """Where that observation's mask would be at the stamp; may lie outside the image."""
        if self.velocity is None:
            return observation.mask
        seconds = (stamp_ns - observation.stamp_ns) / 1e9
        x, y = (round(speed * seconds) for speed in self.velocity)
        return MaskCrop(observation.mask.x_offset + x, observation.mask.y_offset + y, observation.mask.pixels)

    def follow(self, observation: _Observation) -> None:
        seconds = (observation.stamp_ns - self.last.stamp_ns) / 1e9
        if seconds > 0 and observation.area >= WHOLE * self.whole.area:
            x, y = (step / seconds for step in _displacement(self.last.mask, observation.mask))
            old_x, old_y = self.velocity or (x, y)
            self.velocity = old_x + NEWEST * (x - old_x), old_y + NEWEST * (y - old_y)
        self.last = observation
        if observation.area >= self.whole.area or observation.stamp_ns - self.whole.stamp_ns > RECENT_S * 1e9:
            self.whole = observation


class Tracker:
    """Gives the objects of one camera ids that last. No id is given twice, even after a reset."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._last_id = 0
        self._stamp_ns = 0  # of the last image that has one
        self._now_ns = 0  # goes on with the stamps, and where they stand still
        self._last_count = 0
        self._is_reset = False

    def reset(self) -> None:
        """Forget all objects: the next image's get new ids. May be called from another thread."""
        self._is_reset = True

    def update(self, instances: Instances, stamp_ns: int, options: TrackOptions) -> Instances:
        """The same instances in the same order, with ids from 1 that their objects had before, or new ones.

        Every instance has an id of its own at once, from its first frame. stamp_ns: of the image, 0 or less
        if it has none; one before the last image's begins a new sequence, all ids new.
        """
        now_ns = self._advance(stamp_ns)
        self._forget(now_ns - round(options.max_age_s * 1e9))
        observations = [
            _Observation(mask, mask.area, class_id, now_ns)
            for mask, class_id in zip(instances.masks, instances.class_ids.tolist(), strict=True)
        ]
        track_of = {j: self._tracks[i] for i, j in _match(self._tracks, observations, now_ns, options)}
        ids = np.zeros(len(observations), np.uint32)
        for j, observation in enumerate(observations):
            if j in track_of:
                track_of[j].follow(observation)
            else:
                self._last_id = self._last_id % LAST_ID + 1
                track_of[j] = _Track(self._last_id, observation, observation)
                self._tracks.append(track_of[j])
            ids[j] = track_of[j].id
        self._last_count = len(observations)
        return replace(instances, ids=ids)

    def _advance(self, stamp_ns: int) -> int:
        """The tracker's own time, which never stands still; without tracks after a reset or a jump back."""
        if self._is_reset or 0 < stamp_ns < self._stamp_ns:
            self._is_reset, self._tracks, self._last_count = False, [], 0
        step_ns = stamp_ns - self._stamp_ns
        self._now_ns += step_ns if step_ns >= LEAST_STEP_NS else FRAME_NS
        self._stamp_ns = stamp_ns if stamp_ns > 0 else self._stamp_ns
        return self._now_ns

    def _forget(self, oldest_ns: int) -> None:
        """Tracks not seen since then, and those seen longest ago of too many; none of the last frame's."""
        self._tracks = [track for track in self._tracks if track.last.stamp_ns >= oldest_ns]
        most = self._last_count + MOST_UNSEEN
        if len(self._tracks) > most:
            self._tracks = nlargest(most, self._tracks, key=lambda track: track.last.stamp_ns)


def with_ids(segmentation: Segmentation, ids: NDArray[np.uint32]) -> Segmentation:
    """The segmentation with other ids: uint32 (N,), one for each instance in order.

    The panoptic map's segments name their instances by the new ids.
    """
    instances, panoptic = segmentation.instances, segmentation.panoptic
    if panoptic is not None:
        new_id = dict(zip(instances.ids.tolist(), ids.tolist(), strict=True))
        segments = (replace(old, instance_id=new_id.get(old.instance_id, 0)) for old in panoptic.segments)
        panoptic = replace(panoptic, segments=tuple(segments))
    return replace(segmentation, instances=replace(instances, ids=ids), panoptic=panoptic)


def _match(
    tracks: list[_Track], observations: list[_Observation], stamp_ns: int, options: TrackOptions
) -> list[tuple[int, int]]:
    """Pairs (track, observation): first by IoU of the masks, then what comes out from behind something."""
    if not tracks or not observations:
        return []
    masks = [observation.mask for observation in observations]
    areas = np.array([observation.area for observation in observations])
    last_areas = np.array([track.last.area for track in tracks])
    shared = shared_areas([track.moved(track.last, stamp_ns) for track in tracks], masks)
    classes = np.array([observation.class_id for observation in observations])
    other_class = np.array([track.last.class_id for track in tracks])[:, None] != classes
    worth = mask_ious(shared, last_areas, areas) - options.class_penalty * other_class
    pairs = _assign(worth, options.min_iou)
    lost = np.setdiff1d(np.arange(len(tracks)), [i for i, _ in pairs])
    new = np.setdiff1d(np.arange(len(observations)), [j for _, j in pairs])
    if len(lost) and len(new):
        shared = shared_areas(
            [tracks[i].moved(tracks[i].whole, stamp_ns) for i in lost], [masks[j] for j in new]
        )
        inside = shared / np.maximum(areas[new], 1)
        seen = np.minimum(last_areas[lost][:, None], areas[new])
        was_hidden = seen < WHOLE * np.array([[tracks[i].whole.area] for i in lost])
        inside[other_class[np.ix_(lost, new)] | ~was_hidden] = 0
        pairs += [(int(lost[i]), int(new[j])) for i, j in _assign(inside, INSIDE)]
    return pairs


def _assign(worth: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pairs of row and column, each used once, that are worth most together; each pair at least `least`."""
    worth = np.where((worth >= least) & (worth > 0), worth, 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if worth[i, j]]


def _displacement(old: MaskCrop, new: MaskCrop) -> tuple[int, int]:
    """How far the object moved in x and y: of two opposite edges the one that moved less, 0 if they parted.

    An object that goes behind another one loses one edge only, which is not movement.
    """
    low_x, low_y, high_x, high_y = np.subtract(*mask_edges([new, old])).tolist()
    return _lesser(low_x, high_x), _lesser(low_y, high_y)


def _lesser(a: int, b: int) -> int:
    return min(a, b, key=abs) if a * b > 0 else 0
