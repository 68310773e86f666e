# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The `seg_node` command. Each subcommand imports what it needs when it runs, so that help is instant."""

import argparse
import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg_node import __version__
from seg_node.cli_help import EVALUATE_HELP, EXPORT_HELP, FETCH_HELP, SEGMENT_HELP, TRAIN_HELP
from seg_node.untrusted.printable import one_line

if TYPE_CHECKING:
    from seg_node.export.open_model import ModelSource

# Subcommands that need ROS 2 and read their own arguments: the module whose main(arguments) runs them, help.
ROS_COMMANDS = {
    "node": (
        "seg_node.ros.node.__main__",
        "run the ROS 2 node; takes ROS arguments (--ros-args -p NAME:=VALUE)",
    ),
    "play": ("seg_node.ros.play.main", "publish images, a video, a bag or a camera as a camera's ROS topic"),
    "view": (
        "seg_node.ros.view.main",
        "show a running node's images and results in a window or a browser",
    ),
    "demo": ("seg_node.ros.demo.main", "run node, camera stream and recorder; writes pictures and numbers"),
}

LONGEST_LINE = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 0, 1 for a failure, 2 for wrong usage (by argparse)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Set before torch is loaded: its OpenMP threads would spin while they wait for each other, which makes
    # inference ten times slower on cores that other programs use as well (docs/troubleshooting.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may not fit the terminal's encoding, or UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments and arguments[0] in ROS_COMMANDS:
            return _run_ros(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        logging.basicConfig(format="%(message)s")
        logging.getLogger("seg_node").setLevel(logging.INFO)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"seg_node: {_shown(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print("seg_node: not enough memory for this; free some, or use smaller files", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _shown(error: Exception) -> str:
    """Return the error's lines without the control characters that file names and contents may have."""
    return "\n".join(one_line(line, LONGEST_LINE) for line in str(error).split("\n"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seg_node", description="Instance and panoptic segmentation of camera images."
    )
    parser.add_argument("--version", action="version", version=f"seg_node {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_segment(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_export(commands)
    fetch = commands.add_parser(
        "fetch-weights",
        help="download published weights",
        description=FETCH_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = fetch.add_mutually_exclusive_group(required=True)
    choice.add_argument("name", nargs="?", metavar="NAME", help="see --list")
    choice.add_argument("--list", action="store_true", help="list the names, and which are downloaded")
    fetch.set_defaults(run=_fetch_weights)
    for name, (_, text) in ROS_COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


def _add_segment(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    segment = commands.add_parser(
        "segment",
        help="segment images, a video or a bag",
        description=SEGMENT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    segment.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="images, folders or globs; or one video; or one bag (sqlite3, mcap, ROS 1)",
    )
    _add_model_options(segment)
    segment.add_argument("--classes", metavar="NAMES", help='keep only these, as in "person,dining table"')
    segment.add_argument(
        "--prompts",
        metavar="TEXTS",
        help='what SAM 3 is to find, as in "mug,screwdriver"; their places are ids',
    )
    segment.add_argument("--topic", help="image topic of the bag (default: its only colour topic)")
    segment.set_defaults(run=_segment)


def _add_model(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", default="auto", metavar="FAMILY", help="model family (default: auto)")
    add("--weights", metavar="FILE", help="checkpoint file, or a name known to fetch-weights")
    add("--config", metavar="FILE", help="the checkpoint's own configuration file, where its family has one")
    add("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")


def _add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that run a model and write a folder."""
    add = command.add_argument
    _add_model(command)
    add("--labels", metavar="FILE", help="YAML file with names or groups of the classes")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    add(
        "--score-threshold",
        type=float,
        metavar="X",
        help="drop instances scored at or below X, from 0 to 1 (default: that of the model's reference)",
    )
    add(
        "--precision",
        metavar="P",
        help="exact, fp32, bf16, fp16 or auto, the fastest (default: exact, or that of --engine)",
    )
    add("--engine", metavar="FILE", help="file of seg_node export for this model and image size")


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure AP and PQ against ground truth",
        description=EVALUATE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = evaluate.add_argument
    add("--images", required=True, type=Path, metavar="DIR", help="folder of the images")
    add("--coco", type=Path, metavar="FILE", help="ground truth of instances (instances_val2017.json)")
    add("--panoptic", type=Path, metavar="FILE", help="ground truth of panoptic maps (panoptic_val2017.json)")
    add(
        "--panoptic-dir",
        type=Path,
        metavar="DIR",
        help="the PNG maps of --panoptic (default: the folder beside it of the same name)",
    )
    _add_model_options(evaluate)
    add(
        "--by-group",
        action="store_true",
        help="join the ground truth's categories by the groups of the --labels file",
    )
    add("--limit", type=int, metavar="N", help="evaluate only the first N images of the ground truth")
    evaluate.set_defaults(run=_evaluate)


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


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser(
        "train",
        help="train a model on your own objects",
        description=TRAIN_HELP,
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
    add("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    add("--seed", type=int, default=1, metavar="N", help="seed of all random numbers (default: 1)")
    add("--workers", type=int, default=2, metavar="N", help="processes that read pictures (default: 2)")
    train.set_defaults(run=_train)


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = commands.add_parser(
        "export",
        help="compile a model for one image size",
        description=EXPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = export.add_argument
    add("--out", required=True, type=Path, metavar="FILE", help="file to write, .pt2 or .onnx")
    add(
        "--size",
        required=True,
        type=_read_size,
        metavar="WIDTHxHEIGHT",
        help="size of the camera's images, such as 640x480",
    )
    _add_model(export)
    add(
        "--precision",
        default="auto",
        metavar="P",
        help="fp32, bf16, fp16 or auto: the fastest for a .pt2, fp32 for an .onnx (default: auto)",
    )
    export.set_defaults(run=_export)


def _read_size(text: str) -> tuple[int, int]:
    """Parse "640x480" as (480, 640)."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels, such as 640x480")
    return int(match[2]), int(match[1])


def _model_source(options: argparse.Namespace) -> "ModelSource":
    """Collect the options of `_add_model` and `_add_model_options`."""
    from seg_node.export.open_model import ModelSource

    names = ("weights", "config", "labels", "device", "precision", "engine")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return ModelSource(options.model, **given)


def _export(options: argparse.Namespace) -> int:
    from seg_node.export.command import export

    return export(options.out, options.size, _model_source(options))


def _train(options: argparse.Namespace) -> int:
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


def _segment(options: argparse.Namespace) -> int:
    from seg_node.commands.segment import segment

    return segment(
        options.inputs,
        options.out,
        _model_source(options),
        score_threshold=options.score_threshold,
        classes=[name.strip() for name in options.classes.split(",")] if options.classes else None,
        prompts=[text.strip() for text in options.prompts.split(",")] if options.prompts else (),
        topic=options.topic,
    )


def _evaluate(options: argparse.Namespace) -> int:
    from seg_node.commands.evaluate import evaluate

    return evaluate(
        options.images,
        options.out,
        _model_source(options),
        coco=options.coco,
        panoptic=options.panoptic,
        panoptic_dir=options.panoptic_dir,
        score_threshold=options.score_threshold,
        limit=options.limit,
        by_group=options.by_group,
    )


def _fetch_weights(options: argparse.Namespace) -> int:
    from seg_node.models.files.published import LICENCE_NOTE, WEIGHTS, cached_weights, fetch_weights

    if options.name:
        print(f"{options.name}: {fetch_weights(options.name)}\n{LICENCE_NOTE}")
        return 0
    for name, url in WEIGHTS.items():
        try:
            place = str(cached_weights(name))
        except FileNotFoundError:
            place = f"not downloaded; {url}"
        except ValueError as error:
            place = str(error)
        print(f"{name}: {place}")
    return 0


def _run_ros(command: str, arguments: list[str]) -> int:
    try:
        module = importlib.import_module(ROS_COMMANDS[command][0])
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"ROS 2 is not in this environment ({error}): source it and the built workspace, or use "
            f"scripts/run seg_node {command} …"
        ) from error
    status: int = module.main(arguments) or 0
    return status


if __name__ == "__main__":
    sys.exit(main())
