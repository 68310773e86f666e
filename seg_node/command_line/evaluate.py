# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of `seg_node evaluate`."""

import argparse
from pathlib import Path

from seg_node.arguments import count, existing_file, existing_folder
from seg_node.command_line.model_options import add_model_options, model_source
from seg_node.evaluation.given_truth import check_given_truth

_HELP = """\
Compares a model's results with ground truth in COCO's formats and prints a table. Classes are matched by
name, ignoring case: those known to both sides are scored, the others are listed. With groups in the --labels
file the names are those of the groups; --by-group also joins the ground truth's categories into the groups.

writes into DIR:
  evaluation.json  mask_ap, mask_ap50, box_ap, box_ap50 with --coco (COCO's AP, by pycocotools);
                   pq, sq, rq for all, things and stuff with --panoptic (as panopticapi computes them);
                   all from 0 to 1; per_class, classes, images, images_left_out, median_ms, device, precision,
                   model, by_group, ground_truth, ground_truth_notes, date, versions
  instances.json   the predictions as COCO results in the ground truth's category ids, with --coco
  panoptic.json, panoptic/*.png
                   the predictions in COCO's panoptic format, with --panoptic

The thresholds are those of the model's reference; AP rises as the score threshold falls.
Ground truth segments of classes that the model does not know are neither hits nor misses, but a prediction
on top of them is as wrong as elsewhere. Predicted segments of classes that the ground truth does not know
are dropped: their pixels are void. The ground truth is assumed to be exhaustive for each of its classes.
An object with a box and no mask is ignored where masks are compared. A map with one channel (grey, palette)
is read if its values are the ids of its segments. Accepted deviations from COCO's formats are reported, one
line for each kind; files that cannot be read are refused before the model is loaded.
An image that is missing, cannot be read or differs in size from the ground truth is reported and skipped;
the exit status is then 1. Predictions are written even when the run is stopped."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure AP and PQ against ground truth",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = evaluate.add_argument
    add("--images", required=True, type=existing_folder, metavar="DIR", help="folder of the images")
    add(
        "--coco",
        type=existing_file,
        metavar="FILE",
        help="ground truth of instances, COCO's JSON",
    )
    add(
        "--panoptic",
        type=existing_file,
        metavar="FILE",
        help="ground truth of panoptic maps, COCO's JSON",
    )
    add(
        "--panoptic-dir",
        type=existing_folder,
        metavar="DIR",
        help="the PNG maps of --panoptic (default: the folder beside it of the same name)",
    )
    add_model_options(evaluate)
    add(
        "--by-group",
        action="store_true",
        help="join the ground truth's categories by the groups of the --labels file",
    )
    add("--limit", type=count, metavar="N", help="evaluate only the first N images of the ground truth")
    evaluate.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        check_given_truth(options.coco, options.panoptic, options.panoptic_dir)
    except ValueError as error:
        raise argparse.ArgumentError(None, str(error)) from None
    if options.by_group and options.labels is None:
        raise argparse.ArgumentError(None, "--by-group needs --labels FILE with the key groups")
    from seg_node.commands.evaluate import evaluate

    return evaluate(
        options.images,
        options.out,
        model_source(options),
        coco=options.coco and Path(options.coco),
        panoptic=options.panoptic and Path(options.panoptic),
        panoptic_dir=options.panoptic_dir,
        score_threshold=options.score_threshold,
        limit=options.limit,
        by_group=options.by_group,
    )
