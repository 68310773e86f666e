# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts: the user's words for what a model that takes text is to find. They are its classes, from 0."""

from collections.abc import Sequence
from dataclasses import replace

from seg_node.labels import check_labels
from seg_node.types import LabelSet, SegmentOptions

MAX_PROMPTS = 64  # each takes the decoder's time once more
NO_PROMPTS = "this model finds what prompts name, and there are none: give some, such as mug, screwdriver"


def with_prompts(options: SegmentOptions, prompts: Sequence[str]) -> SegmentOptions:
    """Return the options with these prompts; their places are the class ids 0, 1, …

    Raises ValueError for prompts to a model that takes no text, none to one that needs them, more than
    MAX_PROMPTS, one that is listed twice, and one that is not a printable line of at most 200 characters.
    """
    if options.prompts is None:
        if prompts:
            raise ValueError(
                f"prompts are given ({len(prompts)}), but this model takes no text: leave prompts empty and "
                "choose by classes, or load a folder of SAM 3"
            )
        return options
    if not prompts:
        raise ValueError(NO_PROMPTS)
    check_prompts(prompts)
    return replace(options, prompts=tuple(prompts))


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise ValueError for prompts that no model takes."""
    if len(prompts) > MAX_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts are given, of at most {MAX_PROMPTS}: leave some out")
    try:
        check_labels(_numbered(prompts))
    except ValueError as error:
        raise ValueError(f"prompts: {error}") from error
    twice = next((prompt for prompt in prompts if prompts.count(prompt) > 1), None)
    if twice is not None:
        raise ValueError(f"prompts: {twice!r} is listed twice")


def result_labels(options: SegmentOptions, own: LabelSet) -> LabelSet:
    """Return the names of the classes in results: the prompts, else the model's own."""
    return own if options.prompts is None else _numbered(options.prompts)


def same_names(before: LabelSet, after: LabelSet) -> dict[int, int]:
    """Map the class ids of names that both lists of prompts hold, from the one to the other."""
    new_ids = {name: class_id for class_id, name in after.things.items()}
    return {old: new_ids[name] for old, name in before.things.items() if name in new_ids}


def _numbered(prompts: Sequence[str]) -> LabelSet:
    return LabelSet(things=dict(enumerate(prompts)))
