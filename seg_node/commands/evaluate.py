# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node evaluate`: compare a model's results on a set of images with their ground truth."""

import dataclasses
import itertools
import json
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from seg_node import __version__
from seg_node.commands.evaluation_table import evaluation_table
from seg_node.commands.result_folder import make_folder
from seg_node.evaluation.average_precision import check_pycocotools
from seg_node.evaluation.by_group import join_instances, join_panoptic
from seg_node.evaluation.coco_fields import Id, one_line, shown
from seg_node.evaluation.given_truth import check_given_truth
from seg_node.evaluation.ground_truth import (
    InstanceTruth,
    PanopticTruth,
    TrueImage,
    read_instance_truth,
    read_panoptic_truth,
    read_true_image,
)
from seg_node.evaluation.scorers import InstanceScorer, PanopticScorer
from seg_node.evaluation.true_pictures import describe_backslashes, describe_missing, find_file
from seg_node.export.open_model import ModelSource, open_model
from seg_node.groups_file import read_groups
from seg_node.inference.engine import Engine
from seg_node.types import LabelSet, SegmentOptions

SCALE = "every ap, pq, sq and rq is from 0 to 1; null: there is nothing to score"
# skipped images that are reported one by one; evaluation.json lists all
SHOWN_LEFT_OUT = 5


def evaluate(
    images: Path,
    out: Path,
    model: ModelSource,
    *,
    coco: Path | None = None,
    panoptic: Path | None = None,
    panoptic_dir: Path | None = None,
    score_threshold: float | None = None,
    limit: int | None = None,
    by_group: bool = False,
) -> int:
    """Write the folder `out` (see `seg_node evaluate --help`) and print a table.

    images: folder of the images. coco: ground truth of instances. panoptic, panoptic_dir: ground truth of
    panoptic maps, JSON and PNG; without panoptic_dir the folder beside the JSON that has its name.
    limit: evaluate only the first `limit` images.
    by_group: join the ground truth's categories by the groups of the labels file.

    Returns the exit status: 1 when an image was skipped, else 0.
    Raises ValueError, FileNotFoundError or RuntimeError for errors that the user can fix.
    """
    rules = read_groups(Path(model.labels).expanduser()) if by_group and model.labels else None
    if by_group and not (rules and rules.groups):
        raise ValueError("--by-group needs --labels FILE with the key groups")
    instance_truth, panoptic_truth = _read_truths(coco, panoptic, panoptic_dir)
    for note in _notes(instance_truth, panoptic_truth):
        print(note, file=sys.stderr)
    todo = _choose_images(images, instance_truth, panoptic_truth, limit)
    engine = open_model(model)
    options = _options(engine.default_options, score_threshold, panoptic_truth is not None)
    if by_group:
        instance_truth = instance_truth and join_instances(instance_truth, engine.labels.groups)
        panoptic_truth = panoptic_truth and join_panoptic(panoptic_truth, engine.labels.groups)
    scorers = _scorers(instance_truth, panoptic_truth, engine.labels, out)
    make_folder(out)
    try:
        stage_ms, left_out = _run(engine, options, images, todo, scorers)
    finally:  # a run may take hours: keep its predictions even when it is stopped or scoring fails
        for scorer in scorers:
            scorer.write(out)
    given = {name: getattr(model, name) for name in ("family", "weights", "config", "labels", "engine")}
    report = {
        "scale": SCALE,
        "model": {name: None if value is None else str(value) for name, value in given.items()},
        "by_group": by_group,
        "ground_truth": _ground_truth(images, coco, panoptic, panoptic_dir),
        "ground_truth_notes": _notes(instance_truth, panoptic_truth),
        **_circumstances(engine, options),
        "images": len(todo) - len(left_out),
        "images_left_out": left_out,
        "median_ms": {stage: statistics.median(times) for stage, times in stage_ms.items()},
        **_results(scorers),
    }
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    print(evaluation_table(report, own_threshold=score_threshold is None))
    print(f"results in {out}/evaluation.json, predictions beside it")
    return 1 if left_out else 0


def _read_truths(
    coco: Path | None, panoptic: Path | None, panoptic_dir: Path | None
) -> tuple[InstanceTruth | None, PanopticTruth | None]:
    check_given_truth(coco, panoptic, panoptic_dir)
    if coco:
        check_pycocotools()
    return (
        read_instance_truth(coco) if coco else None,
        read_panoptic_truth(panoptic, _map_folder(panoptic, panoptic_dir)) if panoptic else None,
    )


def _scorers(
    instances: InstanceTruth | None, panoptic: PanopticTruth | None, labels: LabelSet, out: Path
) -> list[InstanceScorer | PanopticScorer]:
    scorers: list[InstanceScorer | PanopticScorer] = []
    if panoptic:  # first, because only it can refuse an image
        scorers.append(PanopticScorer(panoptic, labels, out))
    if instances:
        scorers.append(InstanceScorer(instances, labels))
    return scorers


def _notes(*truths: InstanceTruth | PanopticTruth | None) -> list[str]:
    return [note for truth in truths if truth for note in truth.notes]


def _map_folder(panoptic: Path, panoptic_dir: Path | None) -> Path:
    return panoptic_dir or panoptic.with_suffix("")


def _ground_truth(
    images: Path, coco: Path | None, panoptic: Path | None, panoptic_dir: Path | None
) -> dict[str, str | None]:
    """Return the ground truth's paths by the names of their options."""
    maps = _map_folder(panoptic, panoptic_dir) if panoptic else None
    given = {"coco": coco, "panoptic": panoptic, "panoptic_dir": maps, "images": images}
    return {name: None if path is None else str(path) for name, path in given.items()}


def _circumstances(engine: Engine, options: SegmentOptions) -> dict[str, Any]:
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(),
        "device": engine.device_name,
        "precision": engine.precision,
        "score_threshold": options.score_threshold,
    }


def _versions() -> dict[str, str | None]:
    try:
        pycocotools = version("pycocotools")
    except PackageNotFoundError:
        pycocotools = None
    return {
        "seg_node": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pycocotools": pycocotools,
    }


def _choose_images(
    folder: Path, instances: InstanceTruth | None, panoptic: PanopticTruth | None, limit: int | None
) -> list[TrueImage]:
    if limit is not None and limit < 1:
        raise ValueError(f"limit {limit} is out of range; give 1 or more images")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    images: dict[Id, TrueImage] = {}
    for truth in (instances, panoptic):
        for image in truth.images.values() if truth else ():
            known = images.setdefault(image.id, image)
            if known != image:
                raise ValueError(
                    f"image id {shown(image.id)} is {one_line(known.file_name)} {known.size} in one ground "
                    f"truth and {one_line(image.file_name)} {image.size} in the other; they must be of the "
                    "same images"
                )
    if not images:
        raise ValueError("the ground truth lists no image")
    todo = list(itertools.islice(images.values(), limit))
    names = [image.file_name for image in todo]
    if not any([find_file(folder, name) for name in names]):  # a list: every name is checked
        raise ValueError(describe_missing("images", names, len(names), folder))
    if note := describe_backslashes(names, folder):
        print(note, file=sys.stderr)
    return todo


def _run(
    engine: Engine,
    options: SegmentOptions,
    folder: Path,
    images: Sequence[TrueImage],
    scorers: Sequence[InstanceScorer | PanopticScorer],
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Segment and score each image; return the stages' times, and why images were skipped, by name."""
    stage_ms: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for image in tqdm(images, unit="image"):
        try:
            segmentation = engine.segment(read_true_image(folder, image), options)
            for scorer in scorers:
                scorer.keep(image, segmentation)
            for scorer in scorers:
                scorer.score(image, segmentation)
        except ValueError as error:
            left_out[image.file_name] = str(error)
            if len(left_out) <= SHOWN_LEFT_OUT:
                tqdm.write(f"left out {one_line(image.file_name)}: {error}", file=sys.stderr)
            continue
        for stage, milliseconds in segmentation.stage_ms.items():
            stage_ms.setdefault(stage, []).append(milliseconds)
    if len(left_out) > SHOWN_LEFT_OUT:
        print(f"left out {len(left_out) - SHOWN_LEFT_OUT} more images", file=sys.stderr)
    if len(left_out) == len(images):
        raise RuntimeError(f"{folder}: none of the {len(images)} images could be scored")
    return stage_ms, left_out


def _results(scorers: Sequence[InstanceScorer | PanopticScorer]) -> dict[str, Any]:
    """Return the means, the class names, and the numbers of each class, instances first."""
    means: dict[str, Any] = {}
    classes: dict[str, Any] = {}
    per_class: dict[str, dict[str, Any]] = {}
    for scorer in reversed(scorers):
        scores = scorer.scores()
        means |= scores.means
        kind = "instances" if isinstance(scorer, InstanceScorer) else "panoptic"
        names = dataclasses.asdict(scores.classes)
        classes[kind] = {key: names[key] for key in names if key != "category_of"}
        for name, numbers in scores.per_class.items():
            per_class.setdefault(name, {}).update(numbers)
    return {**means, "classes": classes, "per_class": per_class}


def _options(defaults: SegmentOptions, score_threshold: float | None, panoptic: bool) -> SegmentOptions:
    options = defaults.with_score_threshold(score_threshold)
    # AP counts every candidate, also a second class for the same object
    return dataclasses.replace(options, duplicate_iou=1.0, panoptic=panoptic)
