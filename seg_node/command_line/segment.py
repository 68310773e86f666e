# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of `seg_node segment`."""

import argparse

from seg_node.arguments import count, picture_input
from seg_node.command_line.model_options import add_model_options, model_source

_HELP = """\
Segments images, a video or a ROS bag with a model, without ROS.

writes into DIR:
  instances.json   COCO results: one entry per instance, best first within an image, images in input order
                   (file_name, image_id, category_id, category_name, bbox, score, segmentation as
                   compressed RLE); frames of a video or bag also have stamp_ns
  panoptic.json, panoptic/*.png
                   COCO panoptic format, if the model has stuff classes
  annotated/*      each image with its objects drawn, under its own name; one video for a video or bag.
                   Instances scored over 0.5 are drawn; with --score-threshold all are

image_id is the number in a file name made of digits (000000000139.jpg: 139), else 1, 2, 3 …
category_id is the class id of the model's checkpoint or of the --labels file, as in the ROS messages; it may
differ from COCO's.
Results of an earlier run in DIR are replaced. Ctrl-C and SIGTERM write the results so far.
Images are turned upright by their EXIF orientation, as in cv2.imread and Detectron2; sizes and coordinates
are those of the upright image.
An image, frame or message that cannot be read is reported and skipped; the exit status is then 1. Files of a
folder that are not pictures are skipped and counted."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    segment = commands.add_parser(
        "segment",
        help="segment images, a video or a bag",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    segment.add_argument(
        "inputs",
        nargs="+",
        type=picture_input,
        metavar="INPUT",
        help="images, folders or globs; or one video; or one bag (sqlite3, mcap, ROS 1)",
    )
    add_model_options(segment)
    segment.add_argument("--classes", metavar="NAMES", help='keep only these, as in "person,dining table"')
    segment.add_argument(
        "--prompts",
        metavar="TEXTS",
        help='what SAM 3 is to find, as in "mug,screwdriver"; their places are ids',
    )
    segment.add_argument("--topic", help="image topic of the bag (default: its only colour topic)")
    segment.add_argument(
        "--every", type=count, default=1, metavar="N", help="segment every Nth image or frame (default: 1)"
    )
    segment.add_argument("--frames", type=count, metavar="N", help="stop after N images or frames")
    segment.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seg_node.commands.segment import segment

    return segment(
        options.inputs,
        options.out,
        model_source(options),
        score_threshold=options.score_threshold,
        classes=[name.strip() for name in options.classes.split(",")] if options.classes else None,
        prompts=[text.strip() for text in options.prompts.split(",")] if options.prompts else (),
        topic=options.topic,
        every=options.every,
        frames=options.frames,
    )
