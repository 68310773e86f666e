# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of `seg_node train`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg_node.arguments import device

_HELP = """\
Trains a Mask R-CNN on your own objects, or a Panoptic FPN if panoptic maps are given, from data in COCO's
formats. --data starts a data set; --images, --panoptic, --panoptic-dir and --weight after it belong to it.
It may be repeated: the data sets are mixed. The same holds for --val.

An image record may have "exhaustive_categories": [names], the categories whose every object is drawn
(default: all of the file's). Whatever else is in the picture is then not trained as background.

--classes names a YAML file with the classes to learn and the categories that each of them includes ("*": all
others):
  things: {cup: [mug, wine glass], food: [banana, apple], box: []}
  stuff: {table: [dining table, table-merged], other: "*"}
Without it the categories of the data are the classes.

writes into DIR, and resumes from there when it is run again after an interruption:
  model.safetensors     the model, for --weights and the node's model.weights
  losses.csv, validation.csv, training.png
                        the progress of the training (the picture needs matplotlib)
  last.pt               the state to resume from
  validation/           the ground truth of --val in the model's classes, for seg_node evaluate

Training is repeatable with the same seed, steps and data: exactly on the CPU with OMP_NUM_THREADS=1,
elsewhere up to rounding."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser(
        "train",
        help="train a model on your own objects",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = train.add_argument
    for group, prefix, text in (("data", "--", "for training"), ("val", "--val-", "for validation")):
        first = f"--{group}"
        for name, part, metavar, about in (
            (first, "data", "FILE", f"annotations {text}, COCO's JSON"),
            (f"{prefix}images", "images", "DIR", "folder of its images"),
            (f"{prefix}panoptic", "panoptic", "FILE", "its panoptic annotations, COCO's JSON"),
            (f"{prefix}panoptic-dir", "panoptic_dir", "DIR", "PNG maps (default: folder beside the JSON)"),
        ):
            add(name, action=_DataSetPart, part=part, group=group, type=Path, metavar=metavar, help=about)
    add(
        "--weight",
        action=_DataSetPart,
        part="weight",
        group="data",
        type=float,
        metavar="W",
        help="share of its pictures beside those of other data sets (default: their number)",
    )
    add(
        "--init",
        required=True,
        metavar="MODEL",
        help="start from: embedded, imagenet, or a weights file in torchvision's format",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    add("--classes", type=Path, metavar="FILE", help="YAML file with the classes to learn")
    length = train.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, metavar="N", help="number of updates")
    length.add_argument("--minutes", type=float, metavar="M", help="duration")
    add("--batch", type=int, default=4, metavar="N", help="pictures per update (default: 4)")
    add("--lr", type=float, default=3e-4, metavar="X", help="peak learning rate (default: 3e-4)")
    add("--short-side", type=int, metavar="PX", help="shorter side of the input (default: that of --init)")
    add(
        "--long-side",
        type=int,
        metavar="PX",
        help="limit of its longer side (default: that of --init)",
    )
    add("--validations", type=int, default=10, metavar="N", help="number of validations (default: 10)")
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    add("--seed", type=int, default=1, metavar="N", help="seed of all random numbers (default: 1)")
    add("--workers", type=int, default=2, metavar="N", help="processes that read pictures (default: 2)")
    train.set_defaults(run=_run)


class _DataSetPart(argparse.Action):
    """Collect options that belong together: the part "data" starts a data set, the others add to it."""

    def __init__(self, option_strings: Sequence[str], dest: str, part: str, group: str, **rest: Any) -> None:
        super().__init__(option_strings, dest=group, default=[], **rest)
        self._part = part

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        sets = list(getattr(namespace, self.dest))
        if self._part == "data":
            sets.append({})
        elif not sets:
            parser.error(f"{option} belongs to a data set; it comes after --data or --val")
        sets[-1] = {**sets[-1], self._part: value}
        setattr(namespace, self.dest, sets)


def _run(options: argparse.Namespace) -> int:
    from seg_node.training.dataset import DataSet
    from seg_node.training.train import train

    for option, group in (("--images", options.data), ("--val-images", options.val)):
        for source in group:
            if "images" not in source:
                raise ValueError(f"{source['data']}: has no folder of images; add {option} DIR after it")
    return train(
        [DataSet(**source) for source in options.data],
        options.out,
        init=options.init,
        validation=[DataSet(**source) for source in options.val],
        classes=options.classes,
        steps=options.steps,
        minutes=options.minutes,
        batch=options.batch,
        rate=options.lr,
        short_side=options.short_side,
        long_side=options.long_side,
        device=options.device,
        seed=options.seed,
        workers=options.workers,
        validations=options.validations,
    )
