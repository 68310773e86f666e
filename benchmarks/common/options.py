# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What model.py, node.py and growth.py can be asked: the axes of their tables."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common.random_checkpoints import FAMILIES

from seg_node.inference.engine import choose_device
from seg_node.inference.precision import PRECISIONS, has_bfloat16_units

NAMED_SIZES = {"480p": (480, 640), "720p": (720, 1280), "1080p": (1080, 1920)}
Size = tuple[int, int]


@dataclass(frozen=True)
class Options:
    """sizes: (height, width). precisions: None for those that suit each device."""

    out: Path
    quick: bool
    families: tuple[str, ...]
    sizes: tuple[Size, ...]
    batches: tuple[int, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...] | None
    systems: tuple[str, ...]
    weights: dict[str, Path]
    configs: dict[str, Path]

    def precisions_for(self, device: str) -> tuple[str, ...]:
        if self.precisions is not None:
            return self.precisions
        if device == "cpu":
            return ("exact", "fp32", *(["bf16"] if has_bfloat16_units() else []))
        return ("exact", "fp32", "bf16", "fp16")


def option_parser(
    description: str, families: str, sizes: str, batches: str, systems: str
) -> argparse.ArgumentParser:
    """The shared options with a benchmark's own defaults; lists are separated by commas or spaces."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the results")
    add("--quick", action="store_true", help="the smallest cell, to see that all still runs")
    add("--families", nargs="+", default=[families], help=f"of {', '.join(FAMILIES)} ({families})")
    add("--sizes", nargs="+", default=[sizes], help=f"of the camera images, WIDTHxHEIGHT or 720p ({sizes})")
    add("--batches", nargs="+", default=[batches], help=f"images in one go ({batches})")
    devices = "cpu,cuda" if torch.cuda.is_available() else "cpu"
    add("--devices", nargs="+", default=[devices], help="of cpu, cuda, cuda:N (those that are there)")
    add("--precisions", nargs="+", help=f"of {', '.join(PRECISIONS)} (all that suit the device)")
    add("--systems", nargs="+", default=[systems], help=f"({systems})")
    add("--weights", nargs="+", default=[], help="FAMILY=FILE, instead of random weights")
    add("--configs", nargs="+", default=[], help="FAMILY=FILE, configurations of such weights")
    return parser


def read_options(
    arguments: argparse.Namespace, systems: Sequence[str], families: Sequence[str] = FAMILIES
) -> Options:
    """systems, families: those that the benchmark knows.

    Raises ValueError for an unknown name or a wrong number, RuntimeError for a device that is not there.
    """
    devices = _words(arguments.devices)
    for device in devices:
        choose_device(device)
    return Options(
        arguments.out,
        arguments.quick,
        _known("family", _words(arguments.families), families),
        tuple(map(_size, _words(arguments.sizes))),
        tuple(map(_batch, _words(arguments.batches))),
        devices,
        None
        if arguments.precisions is None
        else _known("precision", _words(arguments.precisions), PRECISIONS),
        _known("system", _words(arguments.systems), systems),
        _files(arguments.weights),
        _files(arguments.configs),
    )


def size_name(size: Size) -> str:
    """WIDTHxHEIGHT"""
    return f"{size[1]}x{size[0]}"


def _words(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in value.replace(",", " ").split())


def _known(kind: str, words: tuple[str, ...], known: Sequence[str]) -> tuple[str, ...]:
    for word in words:
        if word not in known:
            raise ValueError(f"{kind} {word!r} is not known here; use {', '.join(known)}")
    return words


def _size(word: str) -> Size:
    if word in NAMED_SIZES:
        return NAMED_SIZES[word]
    width, _, height = word.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(f"size {word!r} does not fit; use WIDTHxHEIGHT, or {', '.join(NAMED_SIZES)}")
    return int(height), int(width)


def _batch(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise ValueError(f"batch {word!r} does not fit; give a number of images above 0")
    return int(word)


def _files(words: Sequence[str]) -> dict[str, Path]:
    files = {}
    for word in words:
        family, equals, path = word.partition("=")
        _known("family", (family,), FAMILIES)
        if not equals or not Path(path).exists():
            raise FileNotFoundError(f"{word!r}: no such file; give FAMILY=FILE")
        files[family] = Path(path)
    return files
