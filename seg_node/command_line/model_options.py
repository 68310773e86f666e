# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that run a model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seg_node.export.open_model import ModelSource


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the options that select a model and its device."""
    add = command.add_argument
    add("--model", default="auto", metavar="FAMILY", help="model family (default: auto)")
    add("--weights", metavar="FILE", help="checkpoint file, or a name known to fetch-weights")
    add("--config", metavar="FILE", help="the checkpoint's own configuration file, where its family has one")
    add("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that run a model and write a folder."""
    add = command.add_argument
    add_model(command)
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


def model_source(options: argparse.Namespace) -> "ModelSource":
    """Collect the options of `add_model` and `add_model_options`."""
    from seg_node.export.open_model import ModelSource

    names = ("weights", "config", "labels", "device", "precision", "engine")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return ModelSource(options.model, **given)
