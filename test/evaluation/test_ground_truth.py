# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""COCO files: `seg_node evaluate` and `seg_node train` accept and refuse the same ones."""

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shapes_dataset import Shapes, write_shapes

from seg_node.cli import main
from seg_node.evaluation.coco import map_name
from seg_node.evaluation.ground_truth import read_instance_truth, read_panoptic_truth
from seg_node.training.dataset import DataSet, read_truth

pytest.importorskip("pycocotools")
Json = dict[str, Any]
DEEP: Any = json.loads("[" * 300 + "]" * 300)


@pytest.fixture
def shapes(tmp_path: Path) -> Shapes:
    """Write three pictures with squares and discs."""
    return write_shapes(tmp_path / "a", 3, seed=1)


def change(path: Path, edit: Callable[[Json], Any]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one line that a command ends with, before a model is loaded."""
    assert main([*map(str, arguments)]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert not captured.out and len(line) < 700 and line.isprintable()
    return line.removeprefix("seg_node: ")


def refusals(shapes: Shapes, capsys: pytest.CaptureFixture[str], kind: str) -> list[str]:
    """Return the refusals of evaluate and of train."""
    out = shapes.data.parent / "out"
    rest = ("--images", shapes.images, "--out", out)
    learn = ("--init", "embedded", "--steps", 1)
    if kind == "instances":
        return [
            refusal(capsys, "evaluate", "--coco", shapes.data, *rest),
            refusal(capsys, "train", "--data", shapes.data, *rest, *learn),
        ]
    return [
        refusal(capsys, "evaluate", "--panoptic", shapes.panoptic, *rest),
        refusal(capsys, "train", "--data", shapes.data, *rest, "--panoptic", shapes.panoptic, *learn),
    ]


def put(where: str, value: Any, index: int = 0) -> Callable[[Json], None]:
    """Set a key of one entry of a list, such as "images.height"."""
    first, *keys = where.split(".")

    def edit(content: Json) -> None:
        if not keys:
            content[first][index] = value
            return
        entry = content[first][index]
        if keys[0] == "segments_info" and len(keys) == 2:
            entry = entry["segments_info"][0]
        entry[keys[-1]] = value

    return edit


def repeat(key: str, **changed: Any) -> Callable[[Json], None]:
    return lambda content: content[key].append({**content[key][0], **changed})


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (put("images", 1), "images[0] is 1; it must be an entry"),
        (put("annotations", None), "annotations[0] is null; it must be an entry"),
        (put("categories", "cup"), "categories[0] is 'cup'; it must be an entry"),
        (put("images.id", [1]), "image [1] has id [1]; it must be a whole number or text"),
        (put("images.id", True), "image True has id True"),
        (put("images.id", 1.5), "image 1.5 has id 1.5"),
        (put("images.id", {}), "image {} has id {}"),
        (put("images.id", "x", 1), "ids of images must be all numbers or all text; there are 3 and 'x'"),
        (put("images.id", 2), "image id 2 is 1.png and 2.png; give each picture an id of its own"),
        (put("images.file_name", None), "image 1 has file_name null; it must be the path of a file"),
        (put("images.file_name", 5), "image 1 has file_name 5"),
        (put("images.file_name", ""), "image 1 has file_name ''"),
        (put("images.file_name", "a\0b"), r"image 1 has file_name 'a\x00b'"),
        (put("images.file_name", "x" * 100_000), "image 1 has file_name 'xxx"),
        (put("images.file_name", "\ud800"), r"image 1 has file_name '\ud800', which cannot name a file"),
        (put("images.height", "96"), "image 1 has height '96'; it must be a whole number from 1"),
        (put("images.height", None), "image 1 has height null"),
        (put("images.width", float("nan")), "image 1 has width nan"),
        (put("images.width", -128), "image 1 has width -128"),
        (put("images.width", 0), "image 1 has width 0"),
        (put("images.width", 128.5), "image 1 has width 128.5"),
        (put("images.width", True), "image 1 has width True"),
        (put("images.width", 10**9), "image 1 has the size 1000000000 x 96, too large for a picture"),
        (put("images.exhaustive_categories", "most"), "image 1: exhaustive_categories 'most' must be a list"),
        (put("images.exhaustive_categories", {}), "image 1: exhaustive_categories {} must be a list"),
        (put("categories.id", [1]), "category [1] has id [1]"),
        (put("categories.id", 2), "category id 2 is 'square' and 'disc'; give each category an id"),
        (put("categories.id", "1"), "ids of categories must be all numbers or all text; there are '1' and 2"),
        (put("categories.name", None), "category 1 has name null; it must be text"),
        (put("categories.name", ["a"]), "category 1 has name ['a']"),
        (put("categories.name", float("nan")), "category 1 has name nan"),
        (put("categories.name", "\ud800"), r"category 1 has name '\ud800'"),
        (put("categories.name", "DISC"), "two categories are called 'disc'; rename one"),
        (put("annotations.image_id", [1]), "annotation 1 has image_id [1]; it must be a whole number"),
        (put("annotations.image_id", "1"), "annotation 1 is of image '1', which is listed as 1; ids as text"),
        (put("annotations.category_id", "1"), "annotation 1 is of category '1', which is listed as 1"),
        (put("annotations.category_id", None), "annotation 1 has category_id null"),
        (put("annotations.iscrowd", "0"), "annotation 1 of image 1 has iscrowd '0'; it must be 0 or 1"),
        (put("annotations.iscrowd", 2), "annotation 1 of image 1 has iscrowd 2"),
        (put("annotations.iscrowd", []), "annotation 1 of image 1 has iscrowd []"),
        (put("annotations.bbox", [1]), "annotation 1 of image 1 has bbox [1]; it must be [x, y, width"),
        (put("annotations.segmentation", [[float("nan")] * 6]), "annotation 1 of image 1 has a polygon with"),
        (put("annotations.segmentation", DEEP), "annotation 1 of image 1 has a polygon"),
        (
            put("annotations.segmentation", {"size": [96, 128], "counts": [5]}),
            "annotation 1 of image 1 has run lengths of 5 pixels; its picture (128x96) has 12288",
        ),
    ],
)  # fmt: skip
def test_evaluate_and_train_refuse_a_wrong_value_with_the_same_words(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], edit: Callable[[Json], None], problem: str
) -> None:
    change(shapes.data, edit)
    first, second = refusals(shapes, capsys, "instances")
    assert first == second
    assert first.startswith(f"{shapes.data}: {problem}")


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (put("annotations", 3), "annotations[0] is 3; it must be an entry"),
        (put("annotations.image_id", [1]), "annotation of image [1] has image_id [1]"),
        (put("annotations.image_id", 99), "image 99 has an annotation, but is not among the images"),
        (put("annotations.file_name", 7), "annotation of image 1 has file_name 7"),
        (repeat("annotations"), "annotation of image 1 is the second of its image"),
        (put("annotations.segments_info", None), "annotation of image 1 has segments_info null"),
        (put("annotations.segments_info", [3]), "annotation of image 1 has segments_info [3]"),
        (put("annotations.segments_info.id", "x"), "segment 'x' of image 1 has this id, which no colour"),
        (put("annotations.segments_info.id", 0), "segment 0 of image 1 has this id, which no colour"),
        (put("annotations.segments_info.id", 2**24), "segment 16777216 of image 1 has this id"),
        (put("annotations.segments_info.id", 2), "segment 2 of image 1 is listed twice"),
        (put("annotations.segments_info.category_id", "11"), "segment 1 of image 1 is of category '11'"),
        (put("annotations.segments_info.category_id", None), "segment 1 of image 1 has category_id null"),
        (put("annotations.segments_info.iscrowd", "no"), "segment 1 of image 1 has iscrowd 'no'"),
        (put("categories.isthing", "yes"), "category 1 has isthing 'yes'; it must be 0 or 1"),
    ],
)  # fmt: skip
def test_evaluate_and_train_refuse_a_wrong_panoptic_value_with_the_same_words(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], edit: Callable[[Json], None], problem: str
) -> None:
    change(shapes.panoptic, edit)
    first, second = refusals(shapes, capsys, "panoptic")
    assert first == second
    assert first.startswith(f"{shapes.panoptic}: {problem}")


@pytest.mark.parametrize("number", ["\x1b[2J" * 1000, "a\nb", DEEP, 10**400, None])
def test_whatever_id_an_annotation_has_the_error_is_one_short_line(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], number: object
) -> None:
    change(shapes.data, lambda c: c["annotations"][0].update(id=number, iscrowd=7))
    for line in refusals(shapes, capsys, "instances"):
        assert "of image 1 has iscrowd 7" in line


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 100_000, "not a JSON file"),
        (f'{{"images": {"[" * 50_000}{"]" * 50_000}}}', "not a JSON file"),
        ('{"images": [{"id": ' + "9" * 5000 + "}]}", "not a JSON file"),
        ("\xff\xfe", "not a JSON file"),
        ('{"images": {}, "annotations": [], "categories": []}', "it has no list 'images'"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no image"),
    ],
)
def test_files_that_are_no_ground_truth_are_refused_alike(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], content: str, problem: str
) -> None:
    shapes.data.write_text(content, encoding="latin-1")
    first, second = refusals(shapes, capsys, "instances")
    assert first == second
    assert first.startswith(str(shapes.data)) and problem in first


@pytest.mark.parametrize(
    ("edit", "note"),
    [
        (lambda c: None, ""),
        (put("annotations.iscrowd", None), "iscrowd null is read as 0 (annotation 1 of image 1)"),
        (put("annotations.bbox", None), "a missing bbox is taken from the mask (annotation 1 of image 1)"),
        (put("annotations.bbox", []), "a missing bbox is taken from the mask (annotation 1 of image 1)"),
        (put("images.height", 96.0), "sizes written as 240.0 are read as 240 (image 1)"),
        (put("categories.name", 7), "a category's number is read as its name (category 1)"),
        (
            lambda c: c["annotations"].append({**c["annotations"][0], "id": 50, "image_id": 77}),
            "annotations of images or categories that are not listed are left out "
            "(annotation 50 is of image 77)",
        ),
        (
            lambda c: c["annotations"].append({**c["annotations"][0], "id": 50, "category_id": 9}),
            "annotations of images or categories that are not listed are left out "
            "(annotation 50 is of category 9)",
        ),
    ],
)
def test_what_tools_are_known_to_write_is_read_and_said(
    shapes: Shapes, edit: Callable[[Json], None], note: str
) -> None:
    before = read_instance_truth(shapes.data)
    change(shapes.data, edit)
    truth = read_instance_truth(shapes.data)
    assert truth.notes == ((f"{shapes.data}: {note}",) if note else ())
    assert truth.images == before.images and len(truth.annotations) == len(before.annotations)
    assert [a["iscrowd"] for a in truth.annotations] == [0] * len(truth.annotations)
    assert list(truth.categories.values())[1:] == ["disc"]


def test_many_of_a_kind_are_one_line_with_their_number(shapes: Shapes) -> None:
    change(shapes.data, lambda c: [a.update(iscrowd=None) for a in c["annotations"]])
    truth = read_instance_truth(shapes.data)
    (line,) = truth.notes
    assert line.endswith(f"(annotation 1 of image 1 and {len(truth.annotations) - 1} more)")


def test_a_missing_box_is_that_of_the_mask(shapes: Shapes) -> None:
    expected = [a["bbox"] for a in read_instance_truth(shapes.data).annotations]
    change(shapes.data, lambda c: [a.pop("bbox") for a in c["annotations"]])
    found = [a["bbox"] for a in read_instance_truth(shapes.data).annotations]
    assert found == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_encodings_of_windows_are_read(shapes: Shapes, encoding: str) -> None:
    before = read_instance_truth(shapes.data)
    shapes.data.write_text(shapes.data.read_text(), encoding=encoding)
    truth = read_instance_truth(shapes.data)
    assert truth.annotations == before.annotations
    assert shapes.data.read_bytes().startswith((codecs.BOM_UTF8, codecs.BOM_UTF16))


def group(name: str, parent: str = "none", **others: str) -> Callable[[Json], None]:
    def edit(content: Json) -> None:
        for category in content["categories"]:
            category["supercategory"] = others.get(category["name"], name)
        content["categories"].insert(0, {"id": 0, "name": name, "supercategory": parent})

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        group("objects"),
        group("square"),  # the project has the name of one of its classes
        group("objects", square="thing", disc="thing"),
        group("square", square="thing", disc="thing"),
    ],
)
def test_the_group_of_a_roboflow_export_is_no_class(shapes: Shapes, edit: Callable[[Json], None]) -> None:
    change(shapes.data, edit)
    truth = read_instance_truth(shapes.data)
    assert list(truth.categories.values()) == ["square", "disc"]
    (note,) = truth.notes
    assert "a group of categories without annotations is left out (category 0, " in note


def test_categories_that_only_look_like_groups_stay(shapes: Shapes) -> None:
    def as_in_coco(content: Json) -> None:
        content["categories"].append({"id": 3, "name": "person", "supercategory": "person"})

    change(shapes.data, as_in_coco)
    assert list(read_instance_truth(shapes.data).categories.values()) == ["square", "disc", "person"]

    def without_hierarchy(content: Json) -> None:
        for category in content["categories"]:
            category["supercategory"] = "none"
        content["categories"].insert(0, {"id": 0, "name": "cup", "supercategory": "none"})

    change(shapes.data, without_hierarchy)
    assert list(read_instance_truth(shapes.data).categories.values()) == ["cup", "square", "disc", "person"]

    def in_use(content: Json) -> None:
        content["categories"][1]["supercategory"] = "cup"
        content["annotations"][0]["category_id"] = 0

    change(shapes.data, in_use)
    assert "cup" in read_instance_truth(shapes.data).categories.values()


def test_annotations_that_are_all_crowds_are_said(shapes: Shapes) -> None:
    change(shapes.data, lambda c: [a.update(iscrowd=1) for a in c["annotations"]])
    truth = read_instance_truth(shapes.data)
    count = len(truth.annotations)
    assert f"{count} of {count} annotations are crowds (iscrowd 1)" in truth.notes[0]
    assert "CVAT" in truth.notes[0] and truth.notes[0].endswith("(all of 'square', 'disc')")
    change(shapes.data, lambda c: [a.update(iscrowd=0) for a in c["annotations"] if a["category_id"] == 1])
    assert read_instance_truth(shapes.data).notes[0].endswith("(all of 'disc')")


@pytest.mark.parametrize("mask", [None, [], [[]], [[3, 4]], [[3, 4, 9, 9]]])
def test_an_object_with_a_box_alone_is_said_and_none_with_a_mask_refused(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], mask: object
) -> None:
    change(shapes.data, put("annotations.segmentation", mask))
    truth = read_instance_truth(shapes.data)
    assert truth.annotations[0]["segmentation"] is None and truth.annotations[1]["segmentation"]
    assert "objects with a box and no mask are ignored" in truth.notes[0]
    change(shapes.data, lambda c: [a.update(segmentation=mask) for a in c["annotations"]])
    for line in refusals(shapes, capsys, "instances"):
        assert f"none of the {len(truth.annotations)} annotations has a mask: draw polygons" in line


def test_the_same_image_listed_twice_is_one(shapes: Shapes) -> None:
    before = read_instance_truth(shapes.data)
    change(shapes.data, repeat("images"))
    assert read_instance_truth(shapes.data) == before


def test_annotations_of_nothing_that_is_listed_are_refused(
    shapes: Shapes, capsys: pytest.CaptureFixture[str]
) -> None:
    change(shapes.data, lambda c: [a.update(image_id=99) for a in c["annotations"]])
    for line in refusals(shapes, capsys, "instances"):
        assert f"{shapes.data}: annotation 1 is of image 99, which is not listed, and none of the" in line


@pytest.mark.parametrize("area", [0, -1, None, float("nan"), "many", 12.0])
def test_the_stated_area_of_a_segment_may_be_anything(shapes: Shapes, area: object) -> None:
    change(shapes.panoptic, put("annotations.segments_info.area", area))
    segments = read_panoptic_truth(shapes.panoptic, shapes.panoptic_dir).segments[1]
    assert segments[0].area == (area if isinstance(area, int | float) and area == area else None)


def test_ids_of_segments_may_be_text(shapes: Shapes) -> None:
    before = read_panoptic_truth(shapes.panoptic, shapes.panoptic_dir)

    def as_text(content: Json) -> None:
        for annotation in content["annotations"]:
            for info in annotation["segments_info"]:
                info["id"] = str(info["id"])

    change(shapes.panoptic, as_text)
    assert read_panoptic_truth(shapes.panoptic, shapes.panoptic_dir) == before


def test_sixty_thousand_categories_take_no_longer_than_their_number(shapes: Shapes) -> None:
    names = [{"id": number, "name": f"class {number}"} for number in range(60_000)]
    change(shapes.data, lambda c: c.update(categories=names))
    truth = read_instance_truth(shapes.data)
    assert len(truth.categories) == 60_000 and truth.categories[1] == "class 1"


@pytest.mark.parametrize(
    ("image_id", "name"),
    [(7, "000000000007.png"), (-7, "-00000000007.png"), ("frankfurt_000_001", "frankfurt_000_001.png")],
)
def test_a_map_is_named_after_its_image(image_id: int | str, name: str) -> None:
    assert map_name(image_id) == name


@pytest.mark.parametrize(
    "image_id", ["/some/where", "../x", "..", ".", "", "a\0b", "\ud800", "x" * 5000, 10**900]
)
def test_no_image_id_leads_out_of_the_folder_of_maps(tmp_path: Path, image_id: int | str) -> None:
    name = map_name(image_id)
    (tmp_path / name).write_text("")
    assert [path.name for path in tmp_path.iterdir()] == [name] and len(name) < 120
    assert map_name("/some/where else") != map_name("/some/where")


def test_reading_a_set_checks_that_its_pictures_exist(shapes: Shapes) -> None:
    source = DataSet(shapes.data, shapes.images)
    change(shapes.data, put("images.file_name", "images\\1.png"))
    for name in ("1.png", "2.png"):
        (shapes.images / name).unlink()
    with pytest.raises(
        ValueError, match=r"2 of 3 images are not in .*images: images\\1\.png, 2\.png; the names"
    ):
        read_truth(source)
