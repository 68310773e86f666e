# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node train`: train a model on data sets and write a weights file for the node."""

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from seg_node.evaluation.average_precision import check_pycocotools
from seg_node.evaluation.coco_fields import one_line
from seg_node.inference.engine import choose_device
from seg_node.labels import check_labels
from seg_node.training.classes import UNKNOWN, ClassMap, own_class_map, read_class_map
from seg_node.training.dataset import DataSet, Picture, Truth, print_notes, read_pictures, read_truth
from seg_node.training.examples import Examples
from seg_node.training.loop import Settings, Training
from seg_node.training.network import model_labels, start_model
from seg_node.training.schedule import Schedule
from seg_node.training.validate import check_measurable, read_validation

MAX_THINGS = 5000  # each object has a mask for each class, which takes gigabytes with more


def train(
    data: Sequence[DataSet],
    out: Path,
    *,
    init: str,
    validation: Sequence[DataSet] = (),
    classes: Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch: int = 4,
    rate: float = 3e-4,
    short_side: int | None = None,
    long_side: int | None = None,
    device: str = "auto",
    seed: int = 1,
    workers: int = 2,
    validations: int = 10,
) -> int:
    """Train into the folder `out`, or resume there (see `seg_node train --help`); return the exit status.

    Raises ValueError, FileNotFoundError or RuntimeError for errors that the user can fix.
    """
    check_pycocotools()
    if find_spec("matplotlib") is None:
        print("matplotlib is missing, so there will be no plot: pip install matplotlib")
    _check_numbers(data, steps, minutes, batch, rate, workers)
    where = choose_device(device)
    truths, checked = _read_truths(data), _read_truths(validation)
    class_map = read_class_map(classes) if classes else _own_classes(truths)
    _check_classes(class_map)
    for truth in checked:
        check_measurable(truth, class_map)
    sets = [read_pictures(truth, class_map) for truth in truths]
    torch.manual_seed(seed)  # for new layers
    model = start_model(init, class_map, (short_side, long_side))
    _describe(truths, sets, class_map)
    out.mkdir(parents=True, exist_ok=True)
    checks = [
        read_validation(truth, class_map, model.labels, out / "validation" / f"set{number}")
        for number, truth in enumerate(checked, start=1)
    ]
    sides = model.input_spec.min_size, model.input_spec.max_size
    weights = [
        float(len(pictures)) if truth.source.weight is None else truth.source.weight
        for truth, pictures in zip(truths, sets, strict=True)
    ]
    fixed = {
        "things": list(class_map.things),
        "stuff": list(class_map.stuff),
        "batch": batch,
        "seed": seed,
        "input sides": list(sides),
    }
    settings = Settings(
        Schedule(steps, minutes), batch, rate, seed, workers, where, validations if checks else 1, fixed
    )
    Training(model, settings, checks, out).run(Examples(sets, weights, *sides, seed))
    return 0


def _check_numbers(
    data: Sequence[DataSet], steps: int | None, minutes: float | None, batch: int, rate: float, workers: int
) -> None:
    if not data:
        raise ValueError("no data set is given; name one with --data and --images")
    if (steps is None) == (minutes is None):
        raise ValueError("give either --steps or --minutes")
    for name, value in {"steps": steps, "minutes": minutes, "batch": batch, "lr": rate}.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} {value} must be more than 0")
    if workers < 0:
        raise ValueError(f"workers {workers} must be 0 or more")
    if any(source.weight is not None and source.weight <= 0 for source in data):
        raise ValueError("the weight of a data set must be more than 0")


def _read_truths(sources: Sequence[DataSet]) -> list[Truth]:
    truths = [read_truth(source) for source in sources]
    for truth in truths:
        print_notes(truth)
    return truths


def _check_classes(classes: ClassMap) -> None:
    for kind, names, most in (("things", classes.things, MAX_THINGS), ("stuff", classes.stuff, UNKNOWN - 1)):
        if len(names) > most:
            raise ValueError(
                f"{len(names)} classes of {kind} are too many to learn (at most {most}); use --classes"
            )
    try:
        check_labels(model_labels(classes))
    except ValueError as error:
        raise ValueError(f"{error}; rename it, or use --classes") from error


def _own_classes(truths: Sequence[Truth]) -> ClassMap:
    """Use all categories of the data sets: things of the annotations, stuff of the panoptic maps."""
    things: dict[str, None] = {}
    stuff: dict[str, None] = {}
    for truth in truths:
        things |= dict.fromkeys(truth.instances.categories.values())
        if truth.panoptic is not None:
            names = truth.panoptic.categories
            stuff |= {names[i]: None for i in names if i not in truth.panoptic.things}
    return own_class_map(things, [name for name in stuff if name not in things])


def _describe(truths: Sequence[Truth], sets: Sequence[Sequence[Picture]], classes: ClassMap) -> None:
    for truth, pictures in zip(truths, sets, strict=True):
        maps = len(truth.panoptic.maps.keys() & truth.instances.images) if truth.panoptic else 0
        print(f"{truth.source.data}: {len(pictures)} pictures, {maps} with panoptic maps")
    counts = Counter(label for pictures in sets for picture in pictures for label in picture.labels)
    things = ", ".join(f"{one_line(name)} {counts[i]}" for i, name in enumerate(classes.things, start=1))
    print(f"things: {things}\nstuff: {', '.join(map(one_line, classes.stuff)) or 'none'}")
