# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Removal of prefixes that training frameworks add to tensor names, such as Lightning's "model."."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.files.load_error import one_line

logger = logging.getLogger(__name__)

_MAX_DEPTH = 4  # modules around the network
_MAX_MODULES = 50  # at one depth


def without_prefix(checkpoint: Checkpoint, is_known: Callable[[Checkpoint], bool]) -> Checkpoint:
    """Return the checkpoint as it is, or only the known network's tensors with their prefix removed.

    is_known: whether a family recognises the names.
    Raises ValueError if there are several such networks, such as teacher and student.
    """
    if is_known(checkpoint):
        return checkpoint
    found = dict(_find(checkpoint, "", is_known))
    if len(found) > 1:
        first = next(iter(found))
        raise ValueError(
            f"{checkpoint.path}: holds several networks, named {', '.join(f'{p}…' for p in found)}; save "
            f"only the one you need: torch.save({{k[{len(first)}:]: v for k, v in STATE_DICT.items() "
            f"if k.startswith({first!r})}}, NEW)"
        )
    if not found:
        return checkpoint
    ((prefix, inner),) = found.items()
    dropped = len(checkpoint.tensors) - len(inner.tensors)
    logger.info(
        "%s: removed the prefix %s of the names%s",
        checkpoint.path,
        one_line(prefix),
        f", dropped {dropped} tensors without it" if dropped else "",
    )
    return inner


def _find(
    checkpoint: Checkpoint, prefix: str, is_known: Callable[[Checkpoint], bool]
) -> Iterator[tuple[str, Checkpoint]]:
    """Yield each prefix of a known network, and that network."""
    groups = _group(checkpoint.tensors)
    if prefix.count(".") >= _MAX_DEPTH or len(groups) > _MAX_MODULES:
        return
    for module, tensors in groups.items():
        inner, longer = replace(checkpoint, tensors=tensors), f"{prefix}{module}."
        if is_known(inner):
            yield longer, inner
        else:
            yield from _find(inner, longer, is_known)


def _group(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors by the first part of their names, and remove it."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        module, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(module, {})[rest] = tensor
    return groups
