# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node segment`: run a model on frames and write COCO files and annotated pictures."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from seg_node.commands.result_folder import ResultFolder, make_folder, remove_old_results
from seg_node.export.open_model import ModelSource, open_model
from seg_node.inference.engine import Engine
from seg_node.prompts import result_labels
from seg_node.sources.left_out import LeftOut
from seg_node.sources.select_frames import select_frames
from seg_node.sources.source import open_source
from seg_node.types import SegmentOptions

# below it reference models report many overlapping objects, which hide each other in a picture
READABLE_SCORE = 0.5
# the exit status that shells expect after Ctrl-C: 128 + SIGINT; SIGTERM ends a run in the same way
INTERRUPTED = 130


def segment(
    inputs: Sequence[str | Path],
    out: Path,
    model: ModelSource,
    *,
    score_threshold: float | None = None,
    classes: Iterable[str] | None = None,
    prompts: Sequence[str] = (),
    topic: str | None = None,
    every: int = 1,
    frames: int | None = None,
) -> int:
    """Segment the inputs, write the folder `out` (see `seg_node segment --help`) and print a table.

    every, frames: segment every Nth frame, and at most so many.
    Returns the exit status: 130 after Ctrl-C or SIGTERM, 1 when some input could not be read, else 0.
    Raises ValueError, FileNotFoundError or RuntimeError for errors that the user can fix.
    """
    left_out = LeftOut(lambda line: tqdm.write(line, file=sys.stderr))
    source = open_source(inputs, topic, left_out)
    if source.kind == "camera":
        raise ValueError(f"{inputs[0]}: a camera's stream never ends; record a video or use the node")
    if source.passed_over:
        print(f"passed over {source.passed_over}", file=sys.stderr)
    make_folder(out)
    engine = open_model(model)
    options = _options(engine, score_threshold, classes, prompts)
    labels = result_labels(options, engine.labels)
    draw_above = READABLE_SCORE if score_threshold is None else score_threshold
    unit = "image" if source.kind == "images" else "frame"
    remove_old_results(out, source.paths)
    source = select_frames(source, every, frames, left_out)
    results = ResultFolder(out, source, labels, draw_above)
    stopped = False
    try:
        for name, frame in tqdm(source.frames, total=source.count, unit=unit):
            results.add(name, frame, engine.segment(frame, options))
    except KeyboardInterrupt:
        stopped = True
    finally:  # write partial results after any error
        results.finish()
    of_how_many = f" of {source.count}" if source.count else ""
    device_name = f"{engine.device_name}, {engine.precision}"
    print(results.table(left_out, device_name, f"{of_how_many}, stopped" if stopped else ""))
    if stopped:
        return INTERRUPTED
    return 1 if left_out.count else 0


def _options(
    engine: Engine, score_threshold: float | None, classes: Iterable[str] | None, prompts: Sequence[str]
) -> SegmentOptions:
    """Return the model's options with the user's; a panoptic map only if the model has stuff classes."""
    options = engine.prompted(engine.default_options, prompts).with_score_threshold(score_threshold)
    labels = result_labels(options, engine.labels)
    return dataclasses.replace(
        options,
        classes=options.classes if classes is None else labels.ids(classes),
        panoptic=bool(labels.stuff),
    )
