# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from seg_node.training.classes import UNKNOWN, own_class_map, read_class_map

TEXT = """
things: {cup: [mug, Wine Glass], food: [banana, apple], box: []}
stuff: {table: [dining table], other: "*"}
ignore: [pot]
"""


@pytest.fixture
def classes(tmp_path):
    (tmp_path / "classes.yaml").write_text(TEXT)
    return read_class_map(tmp_path / "classes.yaml")


@pytest.mark.parametrize(
    ("category", "thing", "stuff"),
    [
        ("mug", 1, 0),
        ("cup", 1, 0),
        ("wine glass", 1, 0),
        ("Apple", 2, 0),
        ("box", 3, 0),
        ("dining table", 0, 1),
        ("chair", 0, 2),
        ("pot", 0, UNKNOWN),
    ],
)
def test_categories_become_classes(classes, category, thing, stuff):
    assert classes.thing_of(category) == thing
    assert classes.stuff_of(category) == stuff


def test_a_class_is_complete_when_all_its_categories_of_the_data_set_are(classes):
    listed = ["mug", "wine glass", "banana", "apple", "chair"]
    assert classes.exhaustive_things(listed, listed) == (True, True, True, False)
    assert classes.exhaustive_things(["mug", "banana", "apple"], listed) == (True, False, True, False)
    assert classes.exhaustive_things([], listed) == (True, False, False, False)


def test_without_a_rest_unknown_stuff_stays_unknown():
    classes = own_class_map(["cup"], ["floor"])
    assert [classes.stuff_of(name) for name in ("cup", "Floor", "wall")] == [0, 1, UNKNOWN]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stuff: [floor]", "expected the keys things"),
        ("things: {a: [b], c: [b]}", "'b' belongs to two classes"),
        ('things: {a: "*"}', "is for stuff"),
        ("things: [a]\nthing: [b]", "expected the keys things"),
        ("things: 3", "expected classes"),
        ("things: [", "not a file of classes"),
        ("things: [cup, no]", "False is not a name; write it in quotes"),
        ("things: {cup: [mug, null]}", "null is not a name"),
        ("things: {cup: {mug: 1}}", "expected a list of categories for each class"),
        ("things: [cup]\nignore: [[a]]", r"\['a'\] is not a name"),
        ("things: " + "[" * 100_000, "not a file of classes .*nested"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n"
                for a, b in zip("abcdefgh", "bcdefghi", strict=True)
            )
            + "things: *i",
            "not a file of classes",
        ),
    ],
)
def test_a_wrong_file_of_classes_is_refused(tmp_path, text, problem):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=problem) as error:
        read_class_map(tmp_path / "x.yaml")
    assert "x.yaml" in str(error.value)


def test_a_file_of_classes_of_windows_and_numbers_as_names_are_read(tmp_path):
    (tmp_path / "x.yaml").write_text("things: {7: [cup, 8], mug: bowl, pen: }\nignore: cat\n", "utf-8-sig")
    read = read_class_map(tmp_path / "x.yaml")
    assert read.things == {"7": {"7", "cup", "8"}, "mug": {"mug", "bowl"}, "pen": {"pen"}}
    assert read.is_ignored("Cat")


def test_a_missing_file_of_classes_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.yaml"):
        read_class_map(tmp_path / "x.yaml")
