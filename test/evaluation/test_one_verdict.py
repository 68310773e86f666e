# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node evaluate` and `seg_node train` accept the same COCO files, with the same notes."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shapes_dataset import SIZE, Shapes, write_shapes

from seg_node.evaluation.average_precision import average_precision
from seg_node.evaluation.ground_truth import (
    TrueImage,
    read_instance_truth,
    read_panoptic_truth,
    read_segment_map,
    read_true_image,
)
from seg_node.evaluation.panoptic_quality import PanopticQuality
from seg_node.training.classes import own_class_map
from seg_node.training.dataset import DataSet, read_pictures, read_truth
from seg_node.training.sample import open_picture

pytest.importorskip("pycocotools")
Json = dict[str, Any]
Edit = Callable[[Json], Any]
TRIANGLE = [10, 10, 60, 10, 60, 50]
HEIGHT, WIDTH = SIZE
PIXELS = HEIGHT * WIDTH


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 2, seed=1)


WHOLE = [0, 0, WIDTH, HEIGHT]
DOUBTFUL = r"read; .*bbox are doubtful: .* \(annotation 1 of image 1\)$"


def first(key: str, **changed: Any) -> Edit:
    return lambda content: content[key][0].update(changed)


def mask(segmentation: Any, **changed: Any) -> Edit:
    return first("annotations", segmentation=segmentation, **changed)


def without(key: str, name: str) -> Edit:
    return lambda content: content[key][0].pop(name)


def segment(**changed: Any) -> Edit:
    return lambda content: content["annotations"][0]["segments_info"][2].update(changed)


def repeated(key: str, **changed: Any) -> Edit:
    return lambda content: content[key].append({**content[key][0], **changed})


def group(content: Json) -> None:
    content["categories"].insert(0, {"id": 0, "name": "objects", "supercategory": "none"})
    for category in content["categories"][1:]:
        category["supercategory"] = "objects"


def evaluated(shapes: Shapes, data: Path) -> tuple[str, ...]:
    """Read a file as evaluation does, without the model; return the notes."""
    truth = read_instance_truth(data)
    for image in truth.images.values():
        read_true_image(shapes.images, image)
    images, categories = truth.images.values(), list(truth.categories)
    average_precision("mask", images, truth.annotations, [], categories)
    average_precision("box", images, truth.annotations, [], categories)
    return truth.notes


def learnt(shapes: Shapes, data: Path, panoptic: Path | None = None) -> tuple[str, ...]:
    """Read a file as training does, without the network; return the notes."""
    truth = read_truth(DataSet(data, shapes.images, panoptic, shapes.panoptic_dir if panoptic else None))
    for picture in read_pictures(
        truth, own_class_map(truth.instances.categories.values(), ["wall", "floor"])
    ):
        open_picture(picture)
    return truth.panoptic.notes if truth.panoptic else truth.instances.notes


def evaluated_maps(shapes: Shapes, panoptic: Path) -> tuple[str, ...]:
    truth = read_panoptic_truth(panoptic, shapes.panoptic_dir)
    quality = PanopticQuality(things=truth.things, stuff=truth.categories.keys() - truth.things)
    for image in truth.images.values():
        read_true_image(shapes.images, image)
        segments = truth.segments[image.id]
        ids = read_segment_map(truth.maps[image.id], image.size, {s.id for s in segments})
        quality.add(ids, {s.id: s.category_id for s in segments}, ids, segments)
    quality.result()
    return truth.notes


def verdict(read: Callable[..., tuple[str, ...]], *arguments: Any) -> str:
    """Return the notes on the file or its refusal; any other error fails the test."""
    try:
        return "read; " + "; ".join(read(*arguments))
    except (ValueError, FileNotFoundError) as error:
        assert len(str(error).splitlines()) == 1
        return f"refused: {error}"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # masks
        (lambda content: None, "read; $"),
        (mask([]), "read; .*a box and no mask are ignored"),
        (mask(None), "read; .*a box and no mask are ignored"),
        (mask([[]]), "read; .*a box and no mask are ignored"),
        (mask([[5, 5]]), "read; .*a box and no mask are ignored"),
        (mask([[5, 5, 9, 9]]), "read; .*a box and no mask are ignored"),
        (mask([TRIANGLE, [5, 5, 9, 9]]), "read; .*polygons of fewer than three points are left out"),
        (mask(TRIANGLE), r"refused: .*one flat list; put the polygon into a list"),
        (mask([[10, 10], [60, 10], [60, 50]]), "refused: .*polygon of pairs"),
        (mask([[[10, 10], [60, 10], [60, 50]]]), r"refused: .*must be numbers: \[x1, y1"),
        (mask([{"x": 10, "y": 10}, {"x": 60, "y": 10}]), "refused: .*must be numbers"),
        (mask([[str(v) for v in TRIANGLE]]), "refused: .*must be numbers"),
        (mask([[*TRIANGLE[:-1], None]]), "refused: .*must be numbers"),
        (mask(json.dumps([TRIANGLE])), "refused: .*has no mask"),
        (mask(""), "refused: .*has no mask"),
        (mask({}), "refused: .*has no mask"),
        (mask(0), "refused: .*has no mask"),
        (mask([[*TRIANGLE, 5]]), "refused: .*of 7 numbers"),
        (mask([[*TRIANGLE[:-1], math.nan]]), "refused: .*the coordinate nan"),
        (mask([[*TRIANGLE[:-1], math.inf]]), "refused: .*the coordinate inf"),
        (mask([[*TRIANGLE[:-1], 2e8]]), "refused: .*the coordinate 2"),
        (mask([[*TRIANGLE, *[-9000, 0, 9000, 1] * 20]]), "refused: .*pixels' length"),
        (without("annotations", "segmentation"), "refused: .*has no 'segmentation'"),
        # run lengths
        (mask({"size": [HEIGHT, WIDTH], "counts": [0, PIXELS]}, bbox=WHOLE), "read; $"),
        (mask({"size": [96.0, 128.0], "counts": [9.0, PIXELS - 9.0]}, bbox=WHOLE), "read; $"),
        (mask({"size": [WIDTH, HEIGHT], "counts": [0, PIXELS]}), "refused: .*height comes first"),
        (mask({"counts": [0, PIXELS]}), "refused: .*of size null"),
        (mask({"size": f"[{HEIGHT}, {WIDTH}]", "counts": [PIXELS]}), "refused: .*of size '"),
        (mask({"size": [HEIGHT, WIDTH], "counts": [5]}), "refused: .*run lengths of 5 pixels"),
        (mask({"size": [HEIGHT, WIDTH], "counts": [-1, PIXELS + 1]}), "refused: .*0 or more"),
        (mask({"size": [HEIGHT, WIDTH], "counts": [2**40]}), "refused: .*run lengths of 1099511627776"),
        (mask({"size": [HEIGHT, WIDTH], "counts": "b'PPYo0'"}), "refused: .*not COCO's compressed text"),
        (mask([{"size": [HEIGHT, WIDTH], "counts": [PIXELS]}]), "refused: .*must be numbers"),
        # boxes
        (first("annotations", bbox=None), "read; .*a missing bbox is taken from the mask"),
        (first("annotations", bbox=[]), "read; .*a missing bbox is taken from the mask"),
        (without("annotations", "bbox"), "read; .*a missing bbox is taken from the mask"),
        (first("annotations", bbox=[None] * 4), "refused: .*has bbox"),
        (first("annotations", bbox="[1, 2, 3, 4]"), "refused: .*has bbox"),
        (first("annotations", bbox=[1, 2, -3, 4]), "refused: .*has bbox"),
        (first("annotations", bbox=None, segmentation=[]), "refused: .*has no mask"),
        # boxes that do not fit their masks
        (mask([[v / 128 for v in TRIANGLE]]), DOUBTFUL),
        (mask([[v / 128 for v in TRIANGLE]], bbox=[0.1, 0.1, 0.4, 0.3]), DOUBTFUL),
        (mask([[v + WIDTH for v in TRIANGLE]], bbox=[138, 138, 50, 40]), DOUBTFUL),
        (mask([[v - 70 for v in TRIANGLE]], bbox=None), r"read; .*are doubtful"),
        (mask({"size": [HEIGHT, WIDTH], "counts": [PIXELS]}), DOUBTFUL),
        (mask([[90, 60, 110, 60, 110, 80]], bbox=[90, 60, 110, 80]), DOUBTFUL),
        (mask([[90, 60, 110, 60, 110, 80]], bbox=[90, 60, 20, 20]), "read; $"),
        (mask([[90, 60, 110, 60, 110, 80]], bbox=[85, 55, 40, 40]), "read; $"),
        (mask([[90, 60, 90, 70, 90, 80]], bbox=[90, 60, 0, 20]), "read; $"),
        (mask([[90.1, 60.1, 90.4, 60.1, 90.4, 60.4]], bbox=[90, 60, 1, 1]), "read; $"),
        # crowds
        (first("annotations", iscrowd=None), "read; .*iscrowd null is read as 0"),
        (first("annotations", iscrowd=False), "read; $"),
        (first("annotations", iscrowd="0"), "refused: .*iscrowd '0'"),
        (first("annotations", iscrowd=""), "refused: .*iscrowd ''"),
        (lambda c: [a.update(iscrowd=1) for a in c["annotations"]], "read; .*annotations are crowds"),
        # ids
        (first("annotations", image_id="1"), "refused: .*listed as 1; ids as text and as numbers"),
        (first("annotations", category_id="1"), "refused: .*listed as 1; ids as text and as numbers"),
        (first("annotations", image_id="01"), "refused: .*ids as text and as numbers"),
        (first("annotations", image_id=1.0), "read; $"),
        (first("annotations", image_id=77), "read; .*not listed are left out"),
        (first("annotations", category_id="square"), "read; .*not listed are left out"),
        (first("annotations", image_id=None), "refused: .*image_id null"),
        (first("annotations", category_id=True), "refused: .*category_id True"),
        (repeated("images", file_name="2.png"), "refused: .*image id 1 is 1.png and 2.png"),
        (repeated("images"), "read; $"),
        (repeated("images", id=9), "read; .*one picture under two ids .*1.png is image 1 and 9"),
        (repeated("categories", name="cup"), "refused: .*category id 1 is 'square' and 'cup'"),
        (repeated("categories", id=9, name="Square"), "refused: .*two categories are called"),
        # names
        (group, "read; .*a group of categories without annotations is left out"),
        (first("categories", name=7), "read; .*a category's number is read as its name"),
        (first("categories", name=7.5), "read; .*a category's number is read as its name"),
        (first("categories", name="square\n"), "read; .*blanks around a category's name are left out"),
        (first("categories", name=" disc"), "refused: .*two categories are called 'disc'"),
        (first("categories", name=" "), "refused: .*category 1 has name ' '"),
        (first("categories", name=None), "refused: .*category 1 has name null"),
        (first("categories", name={"en": "cup"}), "refused: .*category 1 has name"),
        (first("images", file_name=None), "refused: .*file_name null"),
        (lambda c: c["annotations"].append(None), "refused: .*is null; it must be an entry"),
        (lambda c: c["images"].append(3), "refused: .*is 3; it must be an entry"),
        (lambda c: c.update(categories={"1": "square"}), "refused: .*no list 'categories'"),
        (lambda c: c.update(annotations=None), "refused: .*no list 'annotations'"),
        # sizes
        (first("images", height=96.0), "read; .*sizes written as 240.0 are read as 240"),
        (first("images", height="96"), "refused: .*height '96'"),
        (first("images", height=None), "refused: .*height null"),
        (without("images", "width"), "refused: .*no 'width'"),
    ],
)  # fmt: skip
def test_evaluate_and_train_agree_on_a_file(
    shapes: Shapes, tmp_path: Path, edit: Edit, expected: str
) -> None:
    content = json.loads(shapes.data.read_text())
    edit(content)
    data = tmp_path / "data.json"
    data.write_text(json.dumps(content))
    found = verdict(evaluated, shapes, data)
    assert found == verdict(learnt, shapes, data)
    assert re.match(expected, found), found


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "read; $"),
        ("utf-8-sig", "read; .*a byte order mark is skipped"),
        ("utf-16", "read; $"),
        ("latin-1", "refused: .*not a JSON file: it is not a text in UTF-8; save it as that"),
    ],
)
def test_evaluate_and_train_agree_on_an_encoding(
    shapes: Shapes, tmp_path: Path, encoding: str, expected: str
) -> None:
    content = json.loads(shapes.data.read_text())
    content["categories"][0]["name"] = "Mülleimer"
    data = tmp_path / "data.json"
    data.write_text(json.dumps(content, ensure_ascii=False), encoding)
    found = verdict(evaluated, shapes, data)
    assert found == verdict(learnt, shapes, data)
    assert re.match(expected, found), found


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda content: None, "read; $"),
        (segment(area=0), "read; $"),
        (segment(area=[1]), "read; $"),
        (segment(id="3"), "read; $"),
        (segment(id=3.0), "read; $"),
        (segment(id=-3), "refused: .*no colour of a map stands for"),
        (segment(id=2), "refused: .*is listed twice"),
        (segment(category_id="2"), "refused: .*ids as text and as numbers"),
        (segment(iscrowd=None), "read; $"),
        (segment(iscrowd="0"), "refused: .*iscrowd '0'"),
        (segment(id=9), "refused: .*segment ids .* are in the map, but not in the list"),
        (
            lambda c: [s.update(iscrowd=1) for a in c["annotations"] for s in a["segments_info"]],
            "read; .*segments are crowds",
        ),
        (without("categories", "isthing"), r"read; .*without isthing are read as stuff \(category 1\)"),
        (first("categories", isthing="yes"), "refused: .*isthing 'yes'"),
        (first("annotations", image_id="1"), "refused: .*listed as 1; ids as text and as numbers"),
        (first("annotations", image_id=77), "refused: .*image 77 has an annotation, but is not among"),
        (first("annotations", segments_info={}), "refused: .*has segments_info"),
        (first("images", width="128"), "refused: .*width '128'"),
        (
            lambda c: [a.update(file_name=f"panoptic/{a['file_name']}") for a in c["annotations"]],
            "refused: none of the 2 panoptic maps is in .*1.png is there: write the names without",
        ),
    ],
)  # fmt: skip
def test_evaluate_and_train_agree_on_a_panoptic_file(
    shapes: Shapes, tmp_path: Path, edit: Edit, expected: str
) -> None:
    content = json.loads(shapes.panoptic.read_text())
    edit(content)
    panoptic = tmp_path / "panoptic.json"
    panoptic.write_text(json.dumps(content))
    found = verdict(evaluated_maps, shapes, panoptic)
    assert found == verdict(learnt, shapes, shapes.data, panoptic)
    assert re.match(expected, found), found


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda ids: Image.fromarray(ids.astype(np.uint8)), "read; .*maps with one channel, .*of image 1\\)"),
        (lambda ids: Image.fromarray(ids.astype(np.uint16)), "read; .*maps with one channel"),
        (lambda ids: Image.fromarray(ids.astype(np.uint8)).convert("LA"), "read; .*maps with one channel"),
        (lambda ids: Image.fromarray((ids * 50).astype(np.uint8)), "refused: .*whose values are not the ids"),
        (lambda ids: Image.fromarray(ids[:9].astype(np.uint8)), "refused: .*is 128x9, but its picture"),
    ],
)
def test_evaluate_and_train_agree_on_a_map(
    tmp_path: Path, write: Callable[[Any], Image.Image], expected: str
) -> None:
    shapes = write_shapes(tmp_path, 2, seed=1)
    path = shapes.panoptic_dir / "1.png"
    write(read_segment_map(path)).save(path)
    found = verdict(evaluated_maps, shapes, shapes.panoptic)
    assert found == verdict(learnt, shapes, shapes.data, shapes.panoptic)
    assert re.match(expected, found), found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2.png", "read; "),
        ("below/2.png", "read; "),
        ("below/../2.png", "read; "),
        ("../other/1.png", r"refused: file_name \.\./other/1\.png leads out of .*; write 1\.png, which"),
        ("..\\other\\1.png", "refused: .* leads out of .*; write 1.png, which is in"),
        ("below/../../other/9.png", "refused: .* leads out of .*; copy the file into the folder, and"),
        ("{other}/9.png", "refused: .* leads out of .*; copy the file into the folder, and"),
        ("C:\\photos\\9.png", "refused: .* leads out of .*; copy the file into the folder, and"),
        ("C:/photos/1.png", "refused: .* leads out of .*; write 1.png, which is in"),
        ("file.png", "refused: file_name file.png leads out of .*; it is a symbolic link"),
        ("linked/9.png", "refused: .* leads out of .*; it is a symbolic link, or below one"),
        ("/dev/zero", "refused: .* leads out of "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["images", "panoptic"])
def test_evaluate_and_train_read_nothing_outside_the_folder(
    tmp_path: Path, kind: str, name: str, expected: str
) -> None:
    write_shapes(tmp_path / "real", 2, seed=1)
    place = tmp_path / "link"  # the user may name a folder by a symbolic link
    place.symlink_to(tmp_path / "real", target_is_directory=True)
    shapes = Shapes(place / "data.json", place / "images", place / "panoptic.json", place / "panoptic")
    folder, other = place / kind, tmp_path / "real/other"
    shutil.copytree(folder, other)
    shutil.copytree(folder, folder / "below")
    (other / "2.png").rename(other / "9.png")
    (folder / "file.png").symlink_to(other / "9.png")
    (folder / "linked").symlink_to(other, target_is_directory=True)
    file, entries = (shapes.data, "images") if kind == "images" else (shapes.panoptic, "annotations")
    content = json.loads(file.read_text())
    content[entries][1]["file_name"] = name.format(other=other)
    file.write_text(json.dumps(content))
    found = verdict(evaluated if kind == "images" else evaluated_maps, shapes, file)
    assert found == verdict(learnt, shapes, shapes.data, None if kind == "images" else shapes.panoptic)
    assert re.match(expected, found), found


def test_a_picture_that_lies_in_the_folder_itself_is_named(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path, 1)
    with pytest.raises(ValueError, match=r"sub/1\.png: no such image .* in .*; 1\.png is there: write"):
        read_true_image(shapes.images, TrueImage(1, "sub/1.png", SIZE))


@pytest.mark.parametrize(
    ("count", "polygon", "expected"),
    [
        (150, [[-9000, 0, 9000, 1] * 2], "refused: .*json: image 1 has polygons of .* pixels' length"),
        (20_001, [[1, 1, 2, 1, 2, 2]], "refused: .*image 1 has 20001 annotations, more than 20000"),
        (300, [[1, 1, 60, 1, 60, 60]], "read; $"),
    ],
)  # fmt: skip
def test_what_would_take_minutes_to_score_is_refused(
    shapes: Shapes, tmp_path: Path, count: int, polygon: Any, expected: str
) -> None:
    content = json.loads(shapes.data.read_text())
    one = {**content["annotations"][0], "segmentation": polygon, "bbox": [1, 1, 59, 59]}
    content["annotations"] = [{**one, "id": number} for number in range(count)]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(content))
    found = verdict(evaluated, shapes, data)
    assert found == verdict(learnt, shapes, data)
    assert re.match(expected, found), found
