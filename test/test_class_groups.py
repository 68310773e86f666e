# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of classes in a labels file: which class becomes which, and what is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_node.class_groups import NO_CLASS, ClassGroups, group_classes
from seg_node.groups_file import GroupRules, read_groups
from seg_node.labels import COCO_THINGS, zero_based_labels
from seg_node.types import LabelSet

LABELS = LabelSet({0: "person", 1: "cup", 2: "bowl", 3: "chair"}, {4: "floor", 5: "rug", 6: "sky"})


def read(text: str, folder: Path) -> GroupRules:
    (folder / "labels.yaml").write_text(text)
    rules = read_groups(folder / "labels.yaml")
    assert rules is not None
    return rules


def grouped(text: str, folder: Path, labels: LabelSet = LABELS) -> ClassGroups:
    return group_classes(read(text, folder), labels)


def test_the_complete_example(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    groups = grouped(
        "groups: {dish: [cup, bowl], ground: [floor, 5]}\ndrop: [person, sky]\nids: {dish: 1, ground: 9}",
        tmp_path,
    )
    assert groups.labels == LabelSet(
        {1: "dish", 3: "chair"}, {9: "ground"}, {"dish": ("cup", "bowl"), "ground": ("floor", "rug")}
    )
    assert groups.new_ids == {1: 1, 2: 1, 3: 3, 4: 9, 5: 9}
    assert groups.joined == {1, 9} and groups.joins_stuff
    assert not caplog.text


def test_without_ids_a_group_has_its_first_class_id_in_the_checkpoint(tmp_path: Path) -> None:
    groups = grouped("groups: {furniture: [chair], dish: [bowl, cup]}", tmp_path)
    assert groups.labels.things == {0: "person", 1: "dish", 3: "furniture"}
    assert groups.labels.stuff == LABELS.stuff
    assert groups.joined == {1} and not groups.joins_stuff


def test_the_star_drops_all_that_are_in_no_group(tmp_path: Path) -> None:
    groups = grouped("groups: {dish: [cup, bowl]}\ndrop: '*'\nids: {dish: 0}", tmp_path)
    assert groups.labels == LabelSet({0: "dish"}, {}, {"dish": ("cup", "bowl")})
    assert groups.members(None) == groups.members([0]) == {1, 2}


@pytest.mark.parametrize("text", ["drop: [sky]", "groups: {dish: [cup, bowl]}\ndrop: '*'"])
def test_the_checkpoints_last_class_can_be_dropped(text: str, tmp_path: Path) -> None:
    groups = grouped(text, tmp_path)
    kept = groups.members(None)
    assert kept is not None and 6 not in kept
    assert groups.renumber(np.array([1, 6, 7])).tolist() == [1, -1, NO_CLASS]


def test_classes_whose_ids_are_given_away_move_behind_the_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    groups = grouped("groups: {dish: [cup, bowl]}\nids: {dish: 3, sky: 7}", tmp_path)
    assert groups.labels.things == {0: "person", 3: "dish", 8: "chair"}
    assert groups.labels.stuff == {4: "floor", 5: "rug", 7: "sky"}
    assert "move: chair (3 to 8)" in caplog.text


def test_a_name_that_a_checkpoint_has_twice_stands_for_both(tmp_path: Path) -> None:
    labels = LabelSet({0: "cup", 1: "can", 2: "cup"})
    assert grouped("groups: {dish: [cup]}", tmp_path, labels).new_ids == {0: 0, 1: 1, 2: 0}
    assert grouped("groups: {dish: [2]}", tmp_path, labels).labels.things == {0: "cup", 1: "can", 2: "dish"}
    with pytest.raises(ValueError, match="'cup' is the name of 2 classes"):
        grouped("ids: {cup: 5}", tmp_path, labels)


def test_classes_without_a_name_are_dropped(tmp_path: Path) -> None:
    groups = grouped("groups: {dish: [cup, bowl]}", tmp_path, COCO_THINGS)
    # 12 is one of COCO's unused ids; cup is 47, bowl 51
    assert groups.renumber(np.array([12, 47, 51, 90])).tolist() == [-1, 47, 47, 90]


def test_class_ids_that_no_checkpoint_has_stay_invalid(tmp_path: Path) -> None:
    groups = grouped("groups: {dish: [cup, bowl]}\nids: {dish: 300}", tmp_path)
    assert groups.renumber(np.array([-1, 7, 250, 1])).tolist() == [NO_CLASS, NO_CLASS, NO_CLASS, 300]
    assert groups.renumber(np.zeros(0, np.int32)).tolist() == []


def test_class_ids_beyond_class_map_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grouped("groups: {dish: [cup]}\nids: {dish: 254}", tmp_path)
    assert not caplog.text
    grouped("groups: {dish: [cup]}\nids: {dish: 255}", tmp_path)
    assert "up to 254: not dish (255)" in caplog.text


def test_names_of_the_groups_select_the_classes_in_them(tmp_path: Path) -> None:
    groups = grouped("groups: {dish: [cup, bowl], ground: [floor, rug]}", tmp_path)
    assert groups.members(groups.labels.ids(["ground", "person"])) == {4, 5, 0}
    assert groups.members([]) == frozenset()
    assert groups.members(None) is None
    with pytest.raises(ValueError, match="unknown class cup; this model knows: ground, sky, person, dish"):
        groups.labels.ids(["cup"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("groups: [cup]", "expected groups with their classes, as in"),
        ("groups:", "expected groups with their classes"),
        ("groups: {dish: []}", "group 'dish' is empty; name its classes"),
        ("groups: {dish: }", "group 'dish' is empty"),
        ("groups: {dish: [cup], dish: [bowl]}", "the key dish is in one mapping twice"),
        ("groups: {1: [cup]}", "1 is not a name: write it in quotes"),
        ('groups: {"a\\nb": [cup]}', r"the name of a group is 'a\\nb', not one printable line"),
        (f"groups: {{{'x' * 201}: [cup]}}", "the name of a group is .* at most 200 characters"),
        ("groups: {dish: [no]}", "group 'dish': False is neither a name, in quotes, nor a class id"),
        ("groups: {dish: [1.5]}", "1.5 is neither a name"),
        ("groups: {dish: [[cup]]}", "a list is neither a name"),
        ("groups: {dish: {cup: bowl}}", "a dict is neither a name"),
        ("groups: {dish: [cup, '*']}", "'\\*' is for drop"),
        ("groups: {dish: [cup], mug: [bowl, cup]}", "class 'cup' is in group 'dish' and group 'mug'"),
        ("groups: {dish: [cup, cup]}", "class 'cup' is in group 'dish' twice"),
        ("groups: {dish: [cup]}\ndrop: [cup]", "class 'cup' is in group 'dish' and drop"),
        ("drop: [cup, cup]", "class 'cup' is in drop twice"),
        ("drop: {cup: 1}", "drop: a dict is neither a name"),
        ("ids: [1]", "expected class ids by name"),
        ("ids: {cup: 1, bowl: 1}", "ids: 1 is given to 'cup' and 'bowl'; change one"),
        ("ids: {cup: 65536}", "ids: 65536 of 'cup' is not a number from 0 to 65535"),
        ("ids: {cup: -1}", "ids: -1 of 'cup' is not a number"),
        ("ids: {cup: yes}", "ids: True of 'cup' is not a number"),
        ("ids: {cup: 1.0}", "ids: 1.0 of 'cup' is not a number"),
        ("ids: {cup: [1]}", "of 'cup' is not a number"),
        ("ids: {7: 1}", "7 is not a name"),
    ],
)
def test_files_that_fit_no_checkpoint_are_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        read(text, tmp_path)
    assert "labels.yaml: not a" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "groups: {dish: [cup, bowll]}",
            r"group 'dish': the model has no class 'bowll'; it knows person \(0\), cup \(1\), .*sky \(6\)$",
        ),
        ("groups: {dish: [7]}", r"group 'dish': the model has no class id 7; it knows person \(0\)"),
        ("drop: [dragon]", "drop: the model has no class 'dragon'; it knows person"),
        ("groups: {dish: [cup], mug: [1]}", "class 'cup' is in group 'mug' and group 'dish'; remove it"),
        ("groups: {dish: [cup]}\ndrop: [1]", "class 'cup' is in group 'dish' and drop; remove it from one"),
        ("groups: {mixed: [chair, floor]}", r"'mixed' has things \('chair'\) and stuff \('floor'\)"),
        ("groups: {cup: [bowl]}", "group 'cup' has the name of a class that is not in it"),
        ("groups: {cup: [bowl]}\ndrop: '*'", "group 'cup' has the name of a class that is not in it"),
        ("drop: '*'", "every class is dropped"),
        ("drop: [0, 1, 2, 3, 4, 5, 6]", "every class is dropped"),
        ("groups: {dish: [cup]}\nids: {cup: 1}", "ids: class 'cup' is in a group or dropped"),
        ("drop: [cup]\nids: {cup: 1}", "ids: class 'cup' is in a group or dropped"),
        (
            "groups: {dish: [cup]}\nids: {plate: 1}",
            "ids: neither a group nor a class is named 'plate'; there are the groups dish and the classes",
        ),
        ("ids: {plate: 1}", "the groups none and the classes person"),
        # all ids behind the checkpoint's last are given away or beyond 65535
        ("ids: {cup: 65535, bowl: 0, chair: 1, sky: 2}", None),
    ],
)
def test_rules_that_do_not_fit_the_checkpoint_are_refused(
    text: str, words: str | None, tmp_path: Path
) -> None:
    if words is None:
        assert grouped(text, tmp_path).labels.things[7] == "person"
        return
    with pytest.raises(ValueError, match=words) as refused:
        grouped(text, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_group_may_have_the_name_of_its_class_or_of_a_dropped_one(tmp_path: Path) -> None:
    assert grouped("groups: {cup: [cup, bowl]}", tmp_path).labels.things[1] == "cup"
    assert grouped("groups: {cup: [bowl]}\ndrop: cup", tmp_path).labels.things[2] == "cup"


def test_many_groups_and_names_take_little_time(tmp_path: Path) -> None:
    labels = LabelSet({i: f"class {i}" for i in range(65_536)})
    rules = GroupRules({f"g{i}": [f"class {i}", 65_535 - i] for i in range(20_000)}, drops_rest=True)
    groups = group_classes(rules, labels)
    assert len(groups.labels.things) == 20_000 and len(groups.new_ids) == 40_000


@st.composite
def cases(draw: st.DrawFn) -> tuple[LabelSet, dict[str, list[str | int]], list[str | int], dict[str, int]]:
    """Draw a checkpoint, groups of its things and of its stuff, dropped classes, and numbers for some."""
    ids = draw(st.lists(st.integers(0, 300), min_size=2, max_size=12, unique=True))
    split = draw(st.integers(0, len(ids)))
    places: list[list[int]] = [[], []]
    for i, class_id in enumerate(ids):
        places[i >= split].append(class_id)
    labels = LabelSet(*({i: f"class {i}" for i in part} for part in places))
    groups: dict[str, list[str | int]] = {}
    dropped: list[str | int] = []
    for kind, part in enumerate(places):
        for class_id in part:
            home = draw(st.sampled_from(["none", "drop", f"a{kind}", f"b{kind}"]))
            written = draw(st.sampled_from([class_id, f"class {class_id}"]))
            if home == "drop":
                dropped.append(written)
            elif home != "none":
                groups.setdefault(home, []).append(written)
    names = [*groups, *(n for n in (*labels.things.values(), *labels.stuff.values()))]
    numbers = draw(st.lists(st.integers(0, 65_535), max_size=min(4, len(names)), unique=True))
    chosen = draw(st.lists(st.sampled_from(names), min_size=len(numbers), max_size=len(numbers), unique=True))
    return labels, groups, dropped, dict(zip(chosen, numbers, strict=True))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(cases())
def test_each_class_becomes_that_of_its_group_and_no_number_is_used_twice(
    case: tuple[LabelSet, dict[str, list[str | int]], list[str | int], dict[str, int]],
) -> None:
    labels, groups, dropped, ids = case
    names = {**labels.things, **labels.stuff}
    home = {i: group for i in names for group, these in groups.items() if i in these or names[i] in these}
    gone = {i for i in names if i in dropped or names[i] in dropped}
    left = {i: home.get(i, names[i]) for i in names.keys() - gone}
    ids = {name: number for name, number in ids.items() if name in left.values()}
    try:
        found = group_classes(GroupRules(groups, dropped, ids=ids), labels)
    except ValueError as error:
        assert not left and "every class is dropped" in str(error)
        return
    new = {**found.labels.things, **found.labels.stuff}
    assert [list(part) for part in (found.labels.things, found.labels.stuff)] == [
        sorted(part) for part in (found.labels.things, found.labels.stuff)
    ]
    after = found.renumber(np.arange(302))
    for i in range(302):
        if i > max(left):
            assert after[i] in (NO_CLASS, -1)
        elif i in left:
            assert new[int(after[i])] == left[i]
            assert (int(after[i]) in found.labels.things) == (i in labels.things)
        else:
            assert after[i] == -1
    assert Counter(new.values()) == Counter(set(left.values()))  # each name once
    assert all(found.labels.ids([name]) == {number} for name, number in ids.items())
    kept = {i for i in labels.things.keys() | labels.stuff.keys() if i in left and i not in home}
    assert all(after[i] == i for i in kept if i not in ids.values() and left[i] not in ids)
    everything = found.members(new)
    assert everything == left.keys() and found.members(None) in (None, everything)


def test_a_file_without_groups_has_no_rules(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump({"things": ["cup"]}))
    assert read_groups(tmp_path / "labels.yaml") is None
    with pytest.raises(FileNotFoundError, match="no such labels file"):
        read_groups(tmp_path / "absent.yaml")


def test_the_documents_example_fits_the_panoptic_classes_of_coco(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/models.md").read_text()
    (example,) = [part.split("```")[0] for part in page.split("```yaml\n") if part.startswith("groups:")]
    groups = grouped(example, tmp_path, zero_based_labels(80, 53))
    assert [groups.labels.name(i) for i in (1, 2, 3)] == ["dish", "furniture", "floor"]
    assert groups.labels.groups["furniture"] == ("chair", "couch", "bed")
    assert 3 in groups.labels.stuff and "person" not in groups.labels.things.values()
    assert "bicycle (1 to 133), car (2 to 134), motorcycle (3 to 135)" in caplog.text
