"""The `seg_node` command. Each subcommand imports what it needs when it runs, so that help is instant."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from seg_node import __version__

SEGMENT_HELP = """\
Segments images, a video or a ROS bag with a model, without ROS.

writes into DIR:
  instances.json   COCO results: one entry an instance, best first within an image, images in input order
                   (file_name, image_id, category_id, bbox, score, segmentation as compressed RLE);
                   frames of a video or bag also have stamp_ns
  panoptic.json, panoptic/*.png
                   COCO panoptic format, where the model knows stuff classes
  annotated/*      every image with its objects drawn, under its own name; for a video or bag one video.
                   Drawn are instances scored over 0.5, or all with --score-threshold

image_id is the number in a file name made of digits (000000000139.jpg: 139), else 1, 2, 3 …
category_id is the class id of the model's checkpoint, as in the ROS messages.
Images are turned upright as their EXIF orientation says, as cv2.imread and Detectron2 do; sizes and
coordinates are those of the upright image.
An image that cannot be read is named and left out; the exit status is then 1."""

EVALUATE_HELP = """\
Compares a model's answers with ground truth in COCO's formats and prints a table. Classes are matched by
name, upper and lower case alike: those known to both sides are scored, the others are listed.

writes into DIR:
  evaluation.json  mask_ap, mask_ap50, box_ap, box_ap50 with --coco (COCO's AP, by pycocotools);
                   pq, sq, rq of all, things and stuff with --panoptic (as panopticapi computes them);
                   all from 0 to 1; per_class, classes, images, images_left_out, median_ms, device, model
  instances.json   what was predicted, as COCO results in the ground truth's category ids, with --coco
  panoptic.json, panoptic/*.png
                   what was predicted, in COCO's panoptic format, with --panoptic

The model's own thresholds, those of its reference, are used: AP is higher the lower the score threshold.
Ground truth segments of classes that the model does not know are neither hit nor missed, but a prediction on
top of them is as wrong as elsewhere. Predicted segments of classes that the ground truth does not know are
left out: their pixels are void. The ground truth is taken to be complete for each of its classes.
An image that is missing, cannot be read or has another size than the ground truth says is named and left
out; the exit status is then 1."""

FETCH_HELP = """\
Downloads published weights into $SEG_NODE_CACHE (default ~/.cache/seg_node) and checks their SHA-256.
Nothing else in seg_node downloads: --weights NAME and the node's model.weights take them from there."""

# Subcommands that need ROS 2 and read their own arguments: the module whose main(arguments) runs them, help.
ROS_COMMANDS = {
    "node": ("seg_node.ros.node", "run the ROS 2 node; takes ROS arguments (--ros-args -p name:=value …)"),
    "play": ("seg_node.ros.play", "publish images, a video, a bag or a camera as a camera's ROS topic"),
    "demo": ("seg_node.ros.demo.main", "run node, camera stream and recorder; writes pictures and numbers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit status: 0, 1 for a failure, 2 for wrong usage (by argparse)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Before torch is loaded: its OpenMP threads would spin while they wait for each other, and on cores that
    # other programs use as well this makes inference ten times slower (docs/troubleshooting.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if arguments and arguments[0] in ROS_COMMANDS:
            return _run_ros(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"seg_node: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seg_node", description="Instance and panoptic segmentation of camera images."
    )
    parser.add_argument("--version", action="version", version=f"seg_node {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_segment(commands)
    _add_evaluate(commands)
    fetch = commands.add_parser(
        "fetch-weights",
        help="download published weights",
        description=FETCH_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = fetch.add_mutually_exclusive_group(required=True)
    choice.add_argument("name", nargs="?", metavar="NAME", help="see --list")
    choice.add_argument("--list", action="store_true", help="show the names, and which are here already")
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
        help="images, folders or globs; or one video; or one bag (sqlite3, mcap)",
    )
    segment.add_argument("--model", default="auto", metavar="FAMILY", help="model family (default: auto)")
    segment.add_argument(
        "--weights", metavar="FILE", help="checkpoint file, or a name known to fetch-weights"
    )
    segment.add_argument(
        "--config", metavar="FILE", help="the checkpoint's own config, where its family has one"
    )
    segment.add_argument("--labels", metavar="FILE", help="YAML with the classes' names: things, stuff")
    segment.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    segment.add_argument(
        "--score-threshold",
        type=float,
        metavar="X",
        help="leave out instances scored at or below X, 0 to 1 (default: that of the model's reference)",
    )
    segment.add_argument("--classes", metavar="NAMES", help='keep only these, as in "person,dining table"')
    segment.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    segment.add_argument("--topic", help="image topic of the bag (default: its only colour one)")
    segment.set_defaults(run=_segment)


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
        help="the PNG maps of --panoptic (default: the folder beside it with its name)",
    )
    add("--model", default="auto", metavar="FAMILY", help="model family (default: auto)")
    add("--weights", metavar="FILE", help="checkpoint file, or a name known to fetch-weights")
    add("--config", metavar="FILE", help="the checkpoint's own config, where its family has one")
    add("--labels", metavar="FILE", help="names of the classes, where the checkpoint has none or others")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    add(
        "--score-threshold",
        type=float,
        metavar="X",
        help="leave out instances scored at or below X, 0 to 1 (default: that of the model's reference)",
    )
    add("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    add("--limit", type=int, metavar="N", help="take only the first N images of the ground truth")
    evaluate.set_defaults(run=_evaluate)


def _segment(options: argparse.Namespace) -> int:
    from seg_node.segment import segment

    return segment(
        options.inputs,
        options.out,
        family=options.model,
        weights=options.weights,
        config=options.config,
        labels=options.labels,
        device=options.device,
        score_threshold=options.score_threshold,
        classes=[name.strip() for name in options.classes.split(",")] if options.classes else None,
        topic=options.topic,
    )


def _evaluate(options: argparse.Namespace) -> int:
    from seg_node.evaluate import evaluate

    return evaluate(
        options.images,
        options.out,
        coco=options.coco,
        panoptic=options.panoptic,
        panoptic_dir=options.panoptic_dir,
        family=options.model,
        weights=options.weights,
        config=options.config,
        labels=options.labels,
        device=options.device,
        score_threshold=options.score_threshold,
        limit=options.limit,
    )


def _fetch_weights(options: argparse.Namespace) -> int:
    from seg_node.fetch import LICENCE_NOTE, WEIGHTS, cached_weights, fetch_weights

    if options.name:
        print(f"{options.name}: {fetch_weights(options.name)}\n{LICENCE_NOTE}")
        return 0
    for name, url in WEIGHTS.items():
        try:
            place = str(cached_weights(name))
        except FileNotFoundError:
            place = f"not here; {url}"
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
