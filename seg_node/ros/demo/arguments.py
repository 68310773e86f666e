# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of the demo."""

import argparse
from pathlib import Path

from seg_node.arguments import Parser, count, device, existing_file, existing_path, fraction, one_of
from seg_node.choices import MODEL_FAMILIES, PRECISIONS


def create_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="scripts/demo",
        description="Plays a camera stream to the real node and records its results: annotated.mp4, "
        "contact_sheet.png, results.json, node.log and a table.",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", type=existing_file, metavar="FILE", help="a video file")
    source.add_argument(
        "--images",
        type=existing_path,
        metavar="DIR",
        help="each image once, 2 a second unless --rate is given",
    )
    source.add_argument(
        "--bag",
        type=existing_path,
        metavar="PATH",
        help="ROS bag, sqlite3 or mcap (default: the project's own, demo/tabletop)",
    )
    source.add_argument("--camera", metavar="DEVICE", help="such as /dev/video0; until Ctrl-C or --frames")
    parser.add_argument("--topic", help="image topic of the bag (default: its only colour one)")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint (default: the embedded model)")
    parser.add_argument(
        "--model",
        type=one_of(MODEL_FAMILIES, "model family"),
        metavar="FAMILY",
        help="family of the checkpoint (default: read from the file)",
    )
    parser.add_argument(
        "--config",
        type=existing_file,
        metavar="FILE",
        help="the checkpoint's config, where its family has one",
    )
    parser.add_argument(
        "--score-threshold", type=fraction, metavar="X", help="drop instances that score X or less"
    )
    parser.add_argument("--labels", type=existing_file, metavar="FILE", help="YAML file with names or groups")
    parser.add_argument("--device", type=device, help="cpu, cuda, cuda:N or auto (default: auto)")
    parser.add_argument(
        "--precision",
        type=one_of(PRECISIONS, "precision"),
        metavar="P",
        help="exact, fp32, bf16, fp16 or auto, the fastest (default: auto)",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="images a second (default: as recorded)")
    parser.add_argument("--frames", type=count, metavar="N", help="stop after N images")
    parser.add_argument("--out", type=Path, default=Path("demo_output"), metavar="DIR", help="%(default)s")
    parser.add_argument("--distro", metavar="NAME", help="ROS 2 of scripts/setup: jazzy (default) or kilted")
    return parser
