# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that run a model."""

import argparse
from typing import TYPE_CHECKING

from seg_node.arguments import device, existing_file, existing_path, fraction, one_of, output_folder
from seg_node.choices import MODEL_FAMILIES, PRECISIONS

if TYPE_CHECKING:
    from seg_node.export.open_model import ModelSource


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the options that select a model and its device."""
    add = command.add_argument
    family = one_of(MODEL_FAMILIES, "model family")
    add("--model", type=family, default="auto", metavar="FAMILY", help="model family (default: auto)")
    add("--weights", type=_weights, metavar="FILE", help="checkpoint, or a name known to fetch-weights")
    add("--config", type=existing_file, metavar="FILE", help="the checkpoint's own configuration file")
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that run a model and write a folder."""
    add = command.add_argument
    add_model(command)
    add("--labels", type=existing_file, metavar="FILE", help="YAML file with names or groups of the classes")
    add("--out", required=True, type=output_folder, metavar="DIR", help="folder for the results")
    add(
        "--score-threshold",
        type=fraction,
        metavar="X",
        help="drop instances scored at or below X, from 0 to 1 (default: that of the model's reference)",
    )
    add(
        "--precision",
        type=one_of(PRECISIONS, "precision"),
        metavar="P",
        help="exact, fp32, bf16, fp16 or auto, the fastest (default: exact, or that of --engine)",
    )
    add(
        "--engine",
        type=existing_file,
        metavar="FILE",
        help="file of seg_node export for this model",
    )


def _weights(text: str) -> str:
    """Return the text unchanged if it is a path, or a published name (which may still have to be fetched)."""
    try:
        return existing_path(text)
    except argparse.ArgumentTypeError:
        from seg_node.models.files.published import WEIGHTS

        if text in WEIGHTS:
            return text
        raise argparse.ArgumentTypeError(
            f"{text}: no such weights file, and not one of the published ones: {', '.join(WEIGHTS)}"
        ) from None


def model_source(options: argparse.Namespace) -> "ModelSource":
    """Collect the options of `add_model` and `add_model_options`."""
    from seg_node.export.open_model import ModelSource

    names = ("weights", "config", "labels", "device", "precision", "engine")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return ModelSource(options.model, **given)
