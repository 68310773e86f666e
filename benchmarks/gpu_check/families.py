# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small models of random weights, one of each family, which the tests write too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.models.load import load_model
from seg_node.types import LabelSet

Load = Callable[[], Any]  # a new model at each call: an engine changes its own

_TRANSFORMERS = ("car", "person", "dog", "stuff road", "stuff sky", "cup")


def thin_family(name: str, folder: Path) -> Load:
    """One of `FAMILIES`; its files go to the folder."""
    if name == "transformers":
        return _mask2former(folder)
    return partial(load_model, "auto", *_write(name, folder))


def _write(name: str, folder: Path) -> tuple[Path, Path | None]:
    if name == "torchvision":
        import thin_torchvision

        return thin_torchvision.write_thin_checkpoint(folder)
    if name in ("detectron2", "panoptic_fpn"):
        import thin_detectron2

        write = {
            "detectron2": thin_detectron2.write_thin_checkpoint,
            "panoptic_fpn": thin_detectron2.write_thin_panoptic_checkpoint,
        }
        return write[name](folder)
    if name == "yolact":
        import thin_yolact

        return thin_yolact.write_thin_checkpoint(folder)
    import thin_solo

    return thin_solo.write_thin_checkpoint(folder, name)  # type: ignore[arg-type]  # solov2, decoupled


def _mask2former(folder: Path) -> Load:
    from thin_transformers import write_transformers_folder

    from seg_node.models.transformers.folder import load_transformers

    path = write_transformers_folder(folder / "mask2former", "mask2former", _TRANSFORMERS)
    things = {number: name for number, name in enumerate(_TRANSFORMERS) if not name.startswith("stuff")}
    stuff = {number: name for number, name in enumerate(_TRANSFORMERS) if name.startswith("stuff")}
    return partial(load_transformers, path, LabelSet(things, stuff))
