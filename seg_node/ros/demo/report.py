# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's figures from the received messages: a table for people and results.json for programs."""

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from seg_node import __version__
from seg_node.inference.processor import cpu_name
from seg_node.ros.demo.recorder import STAGES, Counts, FrameRecord

SHOWN_CLASSES = 12
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python")


@dataclass(frozen=True)
class SentImage:
    """One image that the player published. index, name: in its source."""

    index: int
    stamp_ns: int
    name: str


@dataclass(frozen=True)
class ObjectsSeen:
    """One class over the whole run. frames: those in which it was seen; mean_score: over its instances."""

    name: str
    frames: int
    instances: int
    mean_score: float


@dataclass(frozen=True)
class Summary:
    """The figures of a run.

    age_ms: p50, p95, max from an image's stamp until its results were published. stage_ms: medians.
    """

    published: int
    counts: Counts
    frames: int
    pictures: int
    age_ms: dict[str, float]
    stage_ms: dict[str, float]
    objects: tuple[ObjectsSeen, ...]
    accuracy: dict[str, float] | None


def read_player_log(path: Path) -> list[SentImage]:
    """Read the file of `seg_node play --log`, without a last line that an interruption cut off."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    sent = []
    for line in lines:
        index, stamp_ns, name = line.split(",", 2)
        sent.append(SentImage(int(index), int(stamp_ns), name))
    return sent


def summarise(
    published: int,
    counts: Counts,
    frames: Sequence[FrameRecord],
    pictures: int,
    accuracy: dict[str, float] | None,
) -> Summary:
    """Compute the figures of a run.

    frames: at least one, all with their timing. pictures: number of annotated ones received.
    """
    ages = np.array([record.age_ms for record in frames], np.float64)
    p50, p95 = np.percentile(ages, [50, 95])
    return Summary(
        published=published,
        counts=counts,
        frames=len(frames),
        pictures=pictures,
        age_ms={"p50": round(p50, 1), "p95": round(p95, 1), "max": round(ages.max(), 1)},
        stage_ms={
            stage: round(float(np.median([record.stage_ms[stage] for record in frames])), 2)
            for stage in STAGES
        },
        objects=objects_seen(frames),
        accuracy=accuracy,
    )


def objects_seen(frames: Iterable[FrameRecord]) -> tuple[ObjectsSeen, ...]:
    """Count frames and instances of each class, most frequent classes first."""
    scores: dict[str, list[float]] = {}
    seen: dict[str, int] = {}
    for record in frames:
        for instance in record.instances:
            scores.setdefault(instance["class"], []).append(instance["score"])
        for name in {instance["class"] for instance in record.instances}:
            seen[name] = seen.get(name, 0) + 1
    found = [
        ObjectsSeen(name, seen[name], len(values), round(sum(values) / len(values), 3))
        for name, values in scores.items()
    ]
    return tuple(sorted(found, key=lambda entry: (-entry.frames, entry.name)))


def table(summary: Summary) -> str:
    """Format the report for the terminal."""
    rows = [
        *_frame_rows(summary),
        ("latency", "   ".join(f"{name} {value:g} ms" for name, value in summary.age_ms.items())),
        ("", "from an image's stamp until its results are published"),
        ("stages", "   ".join(f"{name} {value:g}" for name, value in summary.stage_ms.items())),
        ("", "medians in ms; the rest of the latency is transport from camera to node"),
        *_object_rows(summary),
    ]
    if summary.accuracy is not None:
        rows.append(("accuracy", "   ".join(f"{name} {value:g}" for name, value in summary.accuracy.items())))
        rows.append(("", "of the processed frames that have ground truth"))
        if "PQ of things" in summary.accuracy:
            rows.append(("", "the model predicts no stuff (table, floor, …), so PQ covers things only"))
    return "\n".join(f"{title:<10}{text}" for title, text in rows)


def _frame_rows(summary: Summary) -> list[tuple[str, str]]:
    """Account for every image: published → received → processed or dropped → recorded."""
    counts = summary.counts
    dropped = sum(counts.dropped.values())
    rest = f" + {counts.in_work} in work" if counts.in_work else ""
    lines = [
        f"{summary.published} published, {counts.received} received by the node",
        f"{counts.received} received = {counts.processed} processed + {dropped} dropped{rest}",
        *(f"{count} dropped: {reason}" for reason, count in sorted(counts.dropped.items())),
        *(f"{count} warned: {reason}" for reason, count in sorted(counts.warned.items())),
    ]
    missed = summary.published - counts.received
    if missed > 0:
        lines.append(f"{missed} published but not received: best effort, replaced in DDS or lost")
    if summary.frames != counts.processed:
        lines.append(f"results of {summary.frames} of {counts.processed} processed frames recorded here")
    return [("" if index else "frames", line) for index, line in enumerate(lines)]


def _object_rows(summary: Summary) -> list[tuple[str, str]]:
    if not summary.objects:
        return [("objects", f"none in {summary.frames} frames")]
    width = max(len(entry.name) for entry in summary.objects)
    lines = [
        f"{seen.name:<{width}}  in {seen.frames} of {summary.frames} frames, mean score {seen.mean_score:.2f}"
        for seen in summary.objects[:SHOWN_CLASSES]
    ]
    more = len(summary.objects) - SHOWN_CLASSES
    if more > 0:
        lines.append(f"and {more} more classes (results.json)")
    return [("" if index else "objects", line) for index, line in enumerate(lines)]


def run_facts(source: str, arguments: Sequence[str], counts: Counts) -> dict[str, Any]:
    """Describe the run, to compare it with another one."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "source": source,
        "arguments": list(arguments),
        "model": counts.model,
        "device": counts.device,
        "seg_node": __version__,
        "python": platform.python_version(),
        "ros_distro": os.environ.get("ROS_DISTRO", ""),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", ""),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": cpu_name(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def write_results(
    path: Path,
    run: dict[str, Any],
    summary: Summary,
    frames: Sequence[FrameRecord],
    sent: Sequence[SentImage],
) -> None:
    """Write one JSON object with each frame on a line of its own."""
    by_stamp = {image.stamp_ns: image for image in sent}
    head = json.dumps({"run": run, "summary": dataclasses.asdict(summary)}, indent=2)
    lines = [json.dumps(_frame_entry(record, by_stamp.get(record.stamp_ns))) for record in frames]
    body = ",\n    ".join(lines)
    path.write_text(f'{head[:-2]},\n  "frames": [\n    {body}\n  ]\n}}\n')


def _frame_entry(record: FrameRecord, image: SentImage | None) -> dict[str, Any]:
    height, width = record.image_size
    return {
        "stamp_ns": record.stamp_ns,
        "frame_id": record.frame_id,
        "source_index": image.index if image else None,
        "source_name": image.name if image else None,
        "height": height,
        "width": width,
        "instances": record.instances,
        "panoptic": record.segments,
        "stage_ms": record.stage_ms,
        "age_ms": record.age_ms,
    }


def _version(package: str) -> str:
    """Version of a Python package; empty if pip did not install it (OpenCV of the operating system)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
