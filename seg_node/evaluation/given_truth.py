# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Which files of ground truth belong together; checked before torch is loaded."""

from pathlib import Path


def check_given_truth(
    coco: str | Path | None, panoptic: str | Path | None, panoptic_dir: Path | None
) -> None:
    """Raise ValueError without any ground truth, or for a folder of maps without its JSON file."""
    if coco is None and panoptic is None:
        raise ValueError("no ground truth is given; name a file with --coco, --panoptic or both")
    if panoptic is None and panoptic_dir is not None:
        raise ValueError("--panoptic-dir needs --panoptic, the JSON file that belongs to its maps")
