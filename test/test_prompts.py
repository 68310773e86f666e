# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts are the classes of a model that takes text; those that no model can use are refused."""

import pytest

from seg_node.prompts import MAX_PROMPTS, result_labels, same_names, with_prompts
from seg_node.types import LabelSet, SegmentOptions

TEXT = SegmentOptions(score_threshold=0.3, prompts=())
NO_TEXT = SegmentOptions(score_threshold=0.3)
OWN = LabelSet({1: "person"}, {2: "road"})


def test_prompts_are_numbered_in_their_order() -> None:
    options = with_prompts(TEXT, ["mug", "a red box"])
    assert options.prompts == ("mug", "a red box")
    assert result_labels(options, OWN) == LabelSet({0: "mug", 1: "a red box"})


def test_a_model_without_text_keeps_its_own_labels() -> None:
    assert with_prompts(NO_TEXT, []) is NO_TEXT
    assert result_labels(NO_TEXT, OWN) is OWN


@pytest.mark.parametrize(
    ("options", "prompts", "text"),
    [
        (NO_TEXT, ["mug"], r"takes no text: leave prompts empty and choose by classes, or load .* SAM 3"),
        (TEXT, [], r"there are none: give some, such as mug, screwdriver"),
        (TEXT, [""], r"prompts: the name of class 0 is ''"),
        (TEXT, ["mug", " "], r"prompts: the name of class 1 is ' '"),
        (TEXT, ["mug\ncup"], r"prompts: the name of class 0 is 'mug\\ncup', not one printable line"),
        (TEXT, ["\x1b[2J"], r"not one printable line"),
        (TEXT, ["\ud800"], r"not one printable line"),
        (TEXT, ["x" * 201], r"of at most 200 characters"),
        (TEXT, ["mug", "cup", "mug"], r"'mug' is listed twice"),
        (TEXT, [f"object {i}" for i in range(MAX_PROMPTS + 1)], r"65 prompts are given, of at most 64"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(
    options: SegmentOptions, prompts: list[str], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        with_prompts(options, prompts)


@pytest.mark.parametrize("prompts", [["кружка"], ["コップ"], ["x" * 200], ["mug", "cup"], ["un café"]])
def test_prompts_of_any_script_are_taken(prompts: list[str]) -> None:
    assert with_prompts(TEXT, prompts).prompts == tuple(prompts)


def test_the_same_names_of_two_lists_are_mapped() -> None:
    before, after = (LabelSet(dict(enumerate(names))) for names in (["mug", "cup", "fork"], ["fork", "mug"]))
    assert same_names(before, after) == {0: 1, 2: 0}
    assert same_names(before, LabelSet({})) == {}
