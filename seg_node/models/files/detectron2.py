# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Detectron2's and AdelaiDet's configuration files: their keys, and the settings of a ResNet trunk.

Keys that change the results are mapped or, if only some of their values are supported, checked; keys of
training are ignored. A missing key has the default of Detectron2's `config/defaults.py`.
"""

import ast
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from seg_node.models.files.config_file import did_you_mean
from seg_node.models.files.config_values import count, positive_side, side, three_divisors, three_numbers
from seg_node.models.files.detectron2_keys import (
    IGNORED_KEYS,
    OTHER_DEFAULTS,
    PUBLISHED,
    RCNN_KEYS,
    TRUNK_SUPPORTED,
    Supported,
)
from seg_node.preprocess.prepare import InputSpec
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

_MAX_HINTS = 20  # misspelt keys in a warning
_LONGEST_VALUE = 1000  # characters of a value written as text

Keys = Mapping[str, Any]  # MODEL.RPN.NMS_THRESH → its value
# key → (Detectron2's default, field of a config, field in it if any, conversion)
MappedKeys = Mapping[str, tuple[Any, str, str, Callable[[Any], Any]]]
Config = TypeVar("Config")

INPUT_SPEC = InputSpec(
    channels="bgr",
    mean=(103.53, 116.28, 123.675),
    std=(1.0, 1.0, 1.0),
    pixel_max=1,
    resize="pillow",
    min_size=800,
    max_size=1333,
)


@dataclass(frozen=True)
class Trunk:
    """The input, and settings of a ResNet that cannot be derived from its weights.

    stride_in_1x1: a stage's stride of 2 is in the first 1x1 convolution of its first block, not in the 3x3.
    depth, groups: of the ResNet; None if the file does not set them.
    """

    input_spec: InputSpec = INPUT_SPEC
    stride_in_1x1: bool = True
    depth: int | None = None
    groups: int | None = None


def _optional_count(value: Any) -> int | None:
    return None if value is None else count(value)


def _channels(value: Any) -> str:
    if value not in ("BGR", "RGB"):
        raise ValueError("expected BGR or RGB")
    return str(value).lower()


TRUNK: MappedKeys = {
    "INPUT.FORMAT": ("BGR", "input_spec", "channels", _channels),
    "INPUT.MIN_SIZE_TEST": (800, "input_spec", "min_size", side),
    "INPUT.MAX_SIZE_TEST": (1333, "input_spec", "max_size", positive_side),
    "MODEL.PIXEL_MEAN": (INPUT_SPEC.mean, "input_spec", "mean", three_numbers),
    "MODEL.PIXEL_STD": (INPUT_SPEC.std, "input_spec", "std", three_divisors),
    "MODEL.RESNETS.STRIDE_IN_1X1": (True, "stride_in_1x1", "", bool),
    "MODEL.RESNETS.DEPTH": (None, "depth", "", _optional_count),
    "MODEL.RESNETS.NUM_GROUPS": (None, "groups", "", _optional_count),
}


def read_trunk(content: Mapping[str, Any], source: str) -> Trunk:
    """Read the trunk's settings for a network whose heads' keys are read by the caller.

    content: empty for the published models' settings. source: names the file in messages.
    Raises ValueError that names a key whose value is not supported or does not fit.
    """
    keys = read_keys(content, source, (*TRUNK, *TRUNK_SUPPORTED), (*IGNORED_KEYS, *RCNN_KEYS)) or PUBLISHED
    check(keys, TRUNK_SUPPORTED, source)
    return apply(Trunk(), keys, TRUNK, source)


def read_keys(
    content: Mapping[str, Any], source: str, known: Collection[str], ignored: tuple[str, ...]
) -> dict[str, Any]:
    """Flatten the file's keys and warn about those that are neither known nor begin with an ignored prefix.

    Raises ValueError if no key is recognised.
    """
    keys = dict(_flatten(content))
    unknown = [key for key in keys if key not in known and not key.startswith(ignored)]
    if keys and len(unknown) == len(keys):
        raise ValueError(f"{source}: has no key of Detectron2's: is it another software's?")
    if unknown:
        named = [f"{key}{did_you_mean(key, known)}" for key in unknown[:_MAX_HINTS]] + unknown[_MAX_HINTS:]
        logger.warning("%s: not understood and ignored: %s", source, listed(named))
    return keys


def _flatten(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _literal(value)


def _literal(value: Any) -> Any:
    """Parse a tuple or number that Detectron2's files write as text: "(800,)", "1e-3"."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) and len(value) <= _LONGEST_VALUE else value
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def check(keys: Keys, supported: Supported, source: str) -> None:
    """Raise ValueError for a value that is not supported."""
    for key, values in supported.items():
        default = OTHER_DEFAULTS.get(key, values[0])
        value = keys.get(key, default)
        plain = list(value) if isinstance(value, tuple) else value
        if plain not in values:
            origin = "" if key in keys else " (Detectron2's default; is the file's _BASE_ missing?)"
            raise ValueError(
                f"{source}: {key}: {value!r}{origin} is not supported; supported: "
                f"{', '.join(repr(value) for value in values)}"
            )


def apply(config: Config, keys: Keys, mapped: MappedKeys, source: str) -> Config:
    """Apply the keys to the configuration. Raises ValueError for a value that does not fit."""
    for key, (default, part, name, conversion) in mapped.items():
        value = convert(conversion, keys.get(key, default), key, source)
        if name:
            value = replace(getattr(config, part), **{name: value})
        config = replace(config, **{part: value})  # type: ignore[type-var]
    return config


def convert(conversion: Callable[[Any], Any], value: Any, key: str, source: str) -> Any:
    """Convert one value. Raises ValueError that names the key."""
    try:
        return conversion(value)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(f"{source}: {key}: {value!r} does not fit ({error})") from error
