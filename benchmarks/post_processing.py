# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What making objects and segments of transformers' networks' answers takes, by the library and by ours.

    scripts/run python benchmarks/post_processing.py

Twenty objects and six kinds of stuff, in queries of a size as published networks give them for 1920x1080 and
1280x720; both ways in turn, medians in milliseconds. What both give is compared: maps, masks, classes and ids
to the last bit, scores to 1e-6 of each other.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import (
    EomtImageProcessor,
    Mask2FormerImageProcessor,
    MaskFormerImageProcessor,
    OneFormerImageProcessor,
)

from seg_node.models.transformers.found import QueryPrediction
from seg_node.models.transformers.library import LibraryPostProcess
from seg_node.models.transformers.model import TransformersModel
from seg_node.models.transformers.post_process import choose_post_process
from seg_node.ros.common.memory import keep_large_buffers
from seg_node.types import LabelSet, Segmentation, SegmentOptions

THINGS, STUFF = 80, 53
OBJECTS, STUFF_SEEN = 20, 6
LABELS = LabelSet(
    {i: f"thing {i}" for i in range(THINGS)}, {i: f"stuff {i}" for i in range(THINGS, THINGS + STUFF)}
)
SIZES = ((720, 1280), (1080, 1920))
PROCESSORS: dict[str, Any] = {
    "mask2former": Mask2FormerImageProcessor,
    "maskformer": MaskFormerImageProcessor,
    "oneformer": OneFormerImageProcessor,
    "eomt": EomtImageProcessor,
}


def queries(grid: tuple[int, int], seed: int = 0) -> QueryPrediction:
    """Soft-edged discs for things before bands for stuff, all sure of their class."""
    random = np.random.default_rng(seed)
    height, width = grid
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    masks, classes = [], []
    for _ in range(OBJECTS):
        radius = random.uniform(0.04, 0.16) * height
        centre = random.uniform(radius, height - radius), random.uniform(radius, width - radius)
        masks.append(radius - np.hypot(rows - centre[0], columns - centre[1]))
        classes.append(int(random.integers(THINGS)))
    things = np.max(masks, axis=0)
    for band in range(STUFF_SEEN):
        middle, half = (band + 0.5) * width / STUFF_SEEN, width / STUFF_SEEN / 2
        masks.append(np.minimum(half - np.abs(columns - middle), -things))
        classes.append(THINGS + band)
    logits = torch.zeros(len(classes), THINGS + STUFF + 1)
    logits[torch.arange(len(classes)), torch.tensor(classes)] = torch.from_numpy(
        random.uniform(7, 10, len(classes)).astype(np.float32)
    )
    noise = random.normal(0, 0.2, (len(classes), height, width))
    return QueryPrediction(logits, torch.from_numpy(np.clip(np.stack(masks) + noise, -12, 12)).float())


def image_processor(kind: str) -> Any:
    if kind != "oneformer":
        return PROCESSORS[kind](do_pad=True) if kind == "eomt" else PROCESSORS[kind]()
    processor = PROCESSORS[kind].__new__(PROCESSORS[kind])  # the other way needs a file of classes
    processor.metadata = {"thing_ids": list(LABELS.things)}
    processor.class_info_file = ""
    return processor


def grid_of(kind: str, image_size: tuple[int, int]) -> tuple[int, int]:
    """A quarter of the network's input."""
    return (160, 160) if kind == "eomt" else (200, round(200 * image_size[1] / image_size[0]))


def same(one: Segmentation, other: Segmentation) -> bool:
    """To the last bit; scores to 1e-6."""
    a, b = one.instances, other.instances
    assert one.panoptic is not None and other.panoptic is not None
    return (
        np.array_equal(a.class_ids, b.class_ids)
        and np.allclose(a.scores, b.scores, rtol=0, atol=1.5e-6)
        and all(
            (m.x_offset, m.y_offset) == (n.x_offset, n.y_offset) and np.array_equal(m.pixels, n.pixels)
            for m, n in zip(a.masks, b.masks, strict=True)
        )
        and np.array_equal(one.panoptic.segment_map, other.panoptic.segment_map)
        and one.panoptic.segments == other.panoptic.segments
    )


def measure(kind: str, image_size: tuple[int, int], rounds: int) -> str:
    """A row of the table."""
    processor = image_processor(kind)
    own = TransformersModel(
        network=torch.nn.Identity(),
        to_input=processor,
        image_processor=processor,
        post_process=choose_post_process(kind, processor, LABELS),
        labels=LABELS,
        default_options=SegmentOptions(0.5, panoptic_stuff_min_area=0),
    )
    ways = {"library": replace(own, post_process=LibraryPostProcess(processor)), "own": own}
    raw = queries(grid_of(kind, image_size))
    spent: dict[str, list[float]] = {name: [] for name in ways}
    answers = {name: way.assemble(raw, image_size, own.default_options) for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way.assemble(raw, image_size, own.default_options)
            spent[name].append((time.perf_counter() - started) * 1e3)
    before, after = (statistics.median(spent[name]) for name in ways)
    panoptic = answers["own"].panoptic
    assert panoptic is not None
    counts = f"{len(answers['own'].instances)} / {len(panoptic.segments)}"
    height, width = image_size
    times = f"{before:.0f} | {after:.0f} | {before / after:.1f}"
    equal = "yes" if same(*answers.values()) else "NO"
    return f"| {kind} | {width}x{height} | {counts} | {times} | {equal} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of both ways (7)")
    parser.add_argument("--kinds", default=",".join(PROCESSORS), help="of networks, with commas")
    arguments = parser.parse_args()
    keep_large_buffers()
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print("| network | image | objects / segments | library | own | times | equal |")
    print("|---|---|---:|---:|---:|---:|---|")
    with torch.inference_mode():
        for kind in arguments.kinds.split(","):
            for image_size in SIZES:
                print(measure(kind, image_size, arguments.rounds), flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
