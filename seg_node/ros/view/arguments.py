# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of `seg_node view`."""

import argparse
from pathlib import Path

from seg_node.arguments import Parser
from seg_node.ros.common.arguments import check_name

DESCRIPTION = """Shows a running node's images with masks and boxes, its objects in space and the time of each
stage in a Rerun viewer: in a window, in a browser (--serve) or later, from a recording (--save). To the
node it is a subscriber like any other. Ctrl-C ends it."""


def create_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="seg_node view", description=DESCRIPTION)
    add = parser.add_argument
    add("--node", default="/seg_node", metavar="NAME", help="the running node (default: %(default)s)")
    add("--camera", default="", metavar="NAME", help="one of the node's cameras, if it has several")
    add("--image", metavar="TOPIC", help="its image topic (default: the one that the node subscribes to)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--save", type=Path, metavar="FILE", help="no window: write a recording (.rrd)")
    where.add_argument("--serve", action="store_true", help="no window: serve the viewer to browsers")
    add("--web-port", type=int, default=9090, metavar="N", help="port of --serve (default: %(default)s)")
    add(
        "--grpc-port", type=int, default=9876, metavar="N", help="data port of --serve (default: %(default)s)"
    )
    add("--frames", type=int, metavar="N", help="stop after N results")
    return parser


def check(options: argparse.Namespace) -> None:
    """Raise ValueError for invalid values: the viewer would wait forever for an impossible name."""
    check_name("--node", "/" + options.node.strip("/"), "node")
    if options.camera:
        check_name("--camera", options.camera, "camera")
    if options.image is not None:
        check_name("--image", options.image)
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"--frames is {options.frames}: must be 1 or more results")
