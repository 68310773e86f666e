# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Class names of published checkpoints, and of checkpoints with their own names or none."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from torchvision.models._meta import _COCO_CATEGORIES

from seg_node.labels import check_labels, one_based_labels, read_labels, zero_based_labels
from seg_node.types import LabelSet


def test_coco_names_are_torchvisions() -> None:
    expected = {i: name for i, name in enumerate(_COCO_CATEGORIES) if name not in ("__background__", "N/A")}
    assert one_based_labels(91).things == expected


def test_own_names_are_used_and_counted() -> None:
    assert one_based_labels(3, ["mug", "bowl"]).things == {1: "mug", 2: "bowl"}
    with pytest.raises(ValueError, match="2 class names for 90 classes"):
        one_based_labels(91, ["mug", "bowl"])


def test_classes_without_names_are_numbered_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert one_based_labels(3).things == {1: "1", 2: "2"}
    assert "2 classes and no names" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("things: [cup, cup]", "'cup' names two classes"),
        ("things: [1, 2]", "1 is not a name: write it in quotes"),
        ("things: [cup, no]", "False is not a name"),
        ("things: {0: cup}\nstuff: {0: wall}", "class 0 is both thing and stuff"),
        ("classes: [cup]", "expected the keys things, stuff, groups, drop, ids"),
        ("{}", "expected the keys things"),
        ("stuff: [wall]", "stuff without things"),
        ("things: {0: cup, 0: bowl}", "the key 0 is in one mapping twice"),
        ("things: cup", "expected a list of names"),
        ("things: {true: cup}", "the key True is not a string"),
        ("things: {-1: cup}", "expected a list of names or class ids"),
        ("things: {65536: cup}", "class id 65536 is not a number from 0 to 65535"),
        ('things: ["a\\nb"]', r"the name of class 0 is 'a\\nb', not one printable line"),
        ('things: ["a\\0b"]', "not one printable line"),
        ('things: ["\\e[31m"]', "not one printable line"),
        ('things: ["\\uD800"]', "not one printable line"),
        ('things: ["a\\u202Eb"]', "not one printable line"),
        ('things: ["  "]', "not one printable line"),
        (f"things: [{'x' * 201}]", "at most 200 characters"),
        ("things: [{a: b}]", "a dict is not a name"),
        ("things: &a [*a]", "nested more than 100 deep"),
        ("things: !!bool foo", "not a YAML file: a value is not of its type"),
        ("things: [" + "a, " * 200_000 + "]", "larger than 262144 bytes"),
    ],
)
def test_invalid_files_of_names_are_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_labels(tmp_path / "names.yaml", 0)


def test_names_in_every_script_are_names(tmp_path: Path) -> None:
    names = ["Becher für Öl", "コップ\u3000小", "كوب", "👩\u200d🍳", "a\u00a0b"]
    (tmp_path / "names.yaml").write_text(yaml.safe_dump({"things": names}, allow_unicode=True), "utf-8-sig")
    assert list(read_labels(tmp_path / "names.yaml", 0).things.values()) == names


def test_ten_thousand_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("things:\n" + "".join(f"- class {i}\n" for i in range(10_000)))
    assert read_labels(tmp_path / "names.yaml", 0).things[9999] == "class 9999"
    check_labels(LabelSet({i: str(i) for i in range(65_536)}))


@pytest.mark.parametrize("things", [{0: 3}, {True: "a"}, {"0": "a"}])
def test_labels_of_other_types_are_refused(things: Any) -> None:
    with pytest.raises(ValueError, match="class"):
        check_labels(LabelSet({}, things))


def test_stuff_is_numbered_after_the_things(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("things: [cup, bowl]\nstuff: [wall]")
    assert read_labels(tmp_path / "names.yaml", 1) == LabelSet({1: "cup", 2: "bowl"}, {3: "wall"})
    (tmp_path / "names.yaml").write_text("things: {4: cup}\nstuff: {2: wall}")
    assert read_labels(tmp_path / "names.yaml", 1) == LabelSet({4: "cup"}, {2: "wall"})
    with pytest.raises(FileNotFoundError, match="absent"):
        read_labels(tmp_path / "absent.yaml", 0)


def test_given_names_must_fit_the_checkpoint(caplog: pytest.LogCaptureFixture) -> None:
    given = LabelSet({0: "cup"}, {2: "wall"})
    assert zero_based_labels(2, 1, given=given) == LabelSet({0: "cup", 1: "1"}, {2: "wall"})
    assert "leaves 1 classes without a name: 1" in caplog.text
    with pytest.raises(ValueError, match=r"names stuff 2 'wall', but the checkpoint has no stuff classes"):
        zero_based_labels(3, given=given)
    with pytest.raises(ValueError, match=r"thing 1 'bowl', but the checkpoint has thing classes 0 … 0"):
        zero_based_labels(1, given=LabelSet({0: "cup", 1: "bowl"}))


def test_coco_names_are_only_for_cocos_number_of_classes() -> None:
    panoptic = zero_based_labels(80, 53)
    assert (panoptic.things[0], panoptic.stuff[80], panoptic.stuff[132]) == ("person", "banner", "rug-merged")
    assert zero_based_labels(80).stuff == {}
    assert zero_based_labels(2, 1, ["a", "b", "c"]) == LabelSet({0: "a", 1: "b"}, {2: "c"})
    assert zero_based_labels(80, 3).things[0] == "0"
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        zero_based_labels(2, 1, ["a", "b"])
