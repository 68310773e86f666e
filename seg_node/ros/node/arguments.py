# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of the node: ROS arguments only. Read before torch and ROS are loaded."""

import argparse
import textwrap
from collections.abc import Sequence
from itertools import pairwise

from seg_node.arguments import Parser
from seg_node.ros.common.arguments import split_arguments
from seg_node.ros.node.parameters import PARAMETERS, Declaration, shown_default

# Topics by their names before remapping. A test compares them with the publishers.
INPUTS = {
    "image": "images of the camera (Image)",
    "depth": "depth aligned to image, with depth.enabled (Image or compressedDepth)",
    "camera_info": "calibration, with depth.enabled (CameraInfo; default: the one beside image)",
}
OUTPUTS = {
    "instances": "objects with their masks (InstanceMaskArray)",
    "panoptic": "one segment id per pixel (PanopticSegmentation)",
    "instance_map": "number of the object at each pixel (Image; also /compressed)",
    "class_map": "class id of each pixel (Image; also /compressed)",
    "confidence_map": "score of each pixel of class_map (Image)",
    "objects": "positions and boxes in metres, with depth.enabled (Object3DArray)",
    "cloud": "points of the objects, with depth.enabled (PointCloud2)",
    "markers": "boxes and names for RViz, with depth.enabled (MarkerArray)",
    "detections": "the objects for standard consumers (vision_msgs/Detection2DArray)",
    "detections_3d": "the same in metres (vision_msgs/Detection3DArray)",
    "label_info": "names of the classes (vision_msgs/LabelInfo)",
    "debug_image": "the image with its objects drawn (Image; also /compressed)",
    "timing": "milliseconds of each step (FrameTiming)",
}


def create_parser() -> argparse.ArgumentParser:
    """Create the parser of what is left without the ROS arguments: only --help."""
    return Parser(
        prog="seg_node node",
        usage="%(prog)s --ros-args [-r image:=/camera/image_raw] [-p NAME:=VALUE] [--params-file FILE]",
        description="Runs the ROS 2 node. Details: docs/topics.md, docs/parameters.md, config/seg_node.yaml.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def check_arguments(arguments: Sequence[str]) -> None:
    """Print help, or what is wrong with arguments that the node cannot start with, and raise SystemExit."""
    parser = create_parser()
    own, ros = split_arguments(arguments)
    if any(text in ("-r", "-p", "--params-file", "--remap", "--param") for text in own):
        parser.error("-r, -p and --params-file belong to ROS: put --ros-args before them")
    parser.parse_args(own)
    for option, rule in pairwise(ros):
        name, given, value = rule.partition(":=")
        name = name.removeprefix("~/")
        if option in ("-p", "--param") and given and name in (*INPUTS, *OUTPUTS):
            topic = name if name in INPUTS else f"~/{name}"
            parser.error(f"{name} is a topic: use -r {topic}:={value}")


def _epilog() -> str:
    lines = ["topics in, given with -r NAME:=TOPIC:", *_columns(INPUTS)]
    lines += ["", "topics out, below the node's name (/seg_node/instances):", *_columns(OUTPUTS)]
    for live, title in ((False, "read at the start"), (True, "which may change while the node runs")):
        rows = {f"{row.name} ({shown_default(row)})": _meaning(row) for row in PARAMETERS if row.live is live}
        lines += [
            "",
            f"parameters {title}, given with -p NAME:=VALUE (default in brackets):",
            *_columns(rows),
        ]
    return "\n".join(lines)


def _meaning(row: Declaration) -> str:
    missing = [choice for choice in row.choices if choice not in row.description]
    return f"{row.description} One of {', '.join(row.choices)}." if missing else row.description


def _columns(rows: dict[str, str]) -> list[str]:
    """Format names and their meanings, which begin on the next line after a long name."""
    indent = " " * 26
    lines = []
    for name, text in rows.items():
        wrapped = textwrap.wrap(text, 106 - len(indent))
        if len(name) < len(indent) - 3:
            lines.append(f"  {name}".ljust(len(indent)) + wrapped.pop(0))
        else:
            lines.append(f"  {name}")
        lines += [indent + line for line in wrapped]
    return lines
