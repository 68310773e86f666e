# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node evaluate` with unusual and hostile ground truth: numbers are right, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_model import (
    CUP_BOX,
    PERSON_BOX,
    SIZE,
    KnownEngine,
    KnownModel,
    annotation,
    report_in,
    write_coco,
    write_images,
    write_panoptic,
)
from PIL import EpsImagePlugin, Image

from seg_node.cli import main
from seg_node.commands import evaluate as evaluate_module
from seg_node.evaluation import scorers
from seg_node.evaluation.ground_truth import read_segment_map
from seg_node.types import Frame, Segmentation, SegmentOptions


def change(path: Path, **changed: Any) -> None:
    """Change keys of the first image, and its id wherever it is used."""
    content = json.loads(path.read_text())
    old = content["images"][0]["id"]
    content["images"][0] |= changed
    for entry in content["annotations"]:
        if entry["image_id"] == old:
            entry["image_id"] = content["images"][0]["id"]
    path.write_text(json.dumps(content))


def recolour(path: Path, how: str) -> None:
    """Rewrite a map of colours with one channel."""
    ids = read_segment_map(path)
    if how == "grey 16":
        Image.fromarray(ids.astype(np.uint16)).save(path)
        return
    ids = ids.astype(np.uint8)
    image = Image.fromarray(ids)
    if how == "palette":
        image = image.convert("P")
        image.putpalette(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes())
        image.putdata(ids.reshape(-1).tolist())
    image.save(path)


def test_an_image_id_does_not_choose_where_maps_are_written(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1)
    panoptic = write_panoptic(tmp_path)
    target = tmp_path / "elsewhere"
    target.mkdir()
    change(tmp_path / "truth.json", id=f"{target}/stolen")
    before = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    assert main(["evaluate", *panoptic]) == 0
    after = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    assert after - before == {tmp_path / "out"}
    (written,) = json.loads((tmp_path / "out/panoptic.json").read_text())["annotations"]
    assert written["image_id"] == f"{target}/stolen"
    assert (tmp_path / "out/panoptic" / written["file_name"]).is_file()
    assert report_in(tmp_path)["pq"]["all"] == 1


def test_an_object_without_a_mask_is_ignored_by_mask_and_counts_by_box(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 2)
    annotations = [
        annotation(0, 7, PERSON_BOX, segmentation=[]),
        annotation(1, 7, PERSON_BOX, 1),
        annotation(0, 0, (0, 0, 3, 3), 2, segmentation=[]),  # missed, if it counted
        annotation(0, 0, CUP_BOX, 3),
        annotation(1, 0, CUP_BOX, 4),
    ]
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", annotations, 2)]) == 0
    report = report_in(tmp_path)
    assert report["mask_ap"] == pytest.approx(1), "neither a false positive nor a miss"
    assert report["per_class"]["person"]["box_ap"] == pytest.approx(1)
    assert report["per_class"]["cup"]["box_ap"] == pytest.approx(67 / 101)  # two of three found
    (note,) = report["ground_truth_notes"]
    assert "objects with a box and no mask are ignored" in note
    assert note in capsys.readouterr().err


@pytest.mark.parametrize("names", [("frankfurt/0", "10"), (2**70, -1), (5, 3)])
def test_ids_may_be_any_number_or_text(
    tmp_path: Path, known_model: KnownModel, names: tuple[int | str, int | str]
) -> None:
    write_images(tmp_path / "images", 2)
    missed = annotation(1, 7, (0, 0, 4, 4), 2)
    found = [annotation(0, 7, PERSON_BOX), annotation(1, 7, PERSON_BOX, 1)]
    arguments = write_coco(tmp_path / "truth.json", [*found, missed], 2)
    content = json.loads((tmp_path / "truth.json").read_text())
    for entry in content["images"]:
        entry["id"] = names[entry["id"]]
    for entry in content["annotations"]:
        entry |= {"image_id": names[entry["image_id"]], "category_id": names[0]}
    content["categories"] = [{"id": names[0], "name": "person"}, {"id": names[1], "name": "cup"}]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert main(["evaluate", *arguments]) == 0
    assert report_in(tmp_path)["mask_ap"] == pytest.approx(67 / 101)  # two of three found
    results = json.loads((tmp_path / "out/instances.json").read_text())
    assert {(r["image_id"], r["category_id"]) for r in results} == {(i, c) for i in names for c in names}


def test_predictions_are_written_even_when_scoring_fails(
    tmp_path: Path, known_model: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images", 2)

    def fail(*_: object) -> None:
        raise RuntimeError("no score today")

    monkeypatch.setattr(scorers, "average_precision", fail)
    arguments = write_coco(tmp_path / "truth.json", [annotation(0, 7, PERSON_BOX)], 2)
    assert main(["evaluate", *arguments]) == 1
    assert len(json.loads((tmp_path / "out/instances.json").read_text())) == 4
    assert not (tmp_path / "out/evaluation.json").exists()


def test_predictions_before_an_interruption_are_written(
    tmp_path: Path, known_model: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(KnownEngine):
        def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
            if len(known_model.asked) == 1:
                raise KeyboardInterrupt
            return super().segment(frame, options)

    monkeypatch.setattr(evaluate_module, "open_model", lambda _: Interrupted(known_model))
    write_images(tmp_path / "images", 3)
    panoptic = write_panoptic(tmp_path, 3)
    coco = write_coco(tmp_path / "coco.json", [annotation(0, 7, PERSON_BOX)], 3)
    assert main(["evaluate", *coco, *panoptic[:2]]) == 130
    assert {r["image_id"] for r in json.loads((tmp_path / "out/instances.json").read_text())} == {0}
    (written,) = json.loads((tmp_path / "out/panoptic.json").read_text())["annotations"]
    assert (tmp_path / "out/panoptic" / written["file_name"]).is_file()


def test_the_prediction_of_an_image_whose_map_is_damaged_is_written_and_not_scored(
    tmp_path: Path, known_model: KnownModel
) -> None:
    write_images(tmp_path / "images", 2)
    panoptic = write_panoptic(tmp_path, 2)
    (tmp_path / "truth/map1.png").write_bytes(b"\x89PNG broken")
    annotations = [annotation(0, 7, PERSON_BOX), annotation(1, 7, (0, 0, 4, 4), 1)]
    coco = write_coco(tmp_path / "coco.json", annotations, 2)
    assert main(["evaluate", *coco, *panoptic[:2]]) == 1
    assert report_in(tmp_path)["mask_ap"] == pytest.approx(1)
    assert {r["image_id"] for r in json.loads((tmp_path / "out/instances.json").read_text())} == {0, 1}


def test_nothing_is_written_over_when_no_image_can_be_read(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1)
    (tmp_path / "images/0.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/instances.json").write_text("of before")
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", [], 1)]) == 1
    assert (tmp_path / "out/instances.json").read_text() == "of before"


@pytest.mark.parametrize("area", [0, 1, -7, 10**9, None, float("nan")])
def test_the_quality_counts_pixels_whatever_area_is_stated(
    tmp_path: Path, known_model: KnownModel, area: object
) -> None:
    write_images(tmp_path / "images", 1)
    panoptic = write_panoptic(tmp_path)
    content = json.loads((tmp_path / "truth.json").read_text())
    for info in content["annotations"][0]["segments_info"]:
        info["area"] = area
        if area is None:
            del info["area"]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert main(["evaluate", *panoptic]) == 0
    report = report_in(tmp_path)
    assert report["pq"] == report["sq"] == report["rq"] == {"all": 1, "things": 1, "stuff": 1}


@pytest.mark.parametrize("how", ["grey 8", "grey 16", "palette"])
def test_maps_with_one_channel_are_read_where_its_values_are_the_ids(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    write_images(tmp_path / "images", 1)
    panoptic = write_panoptic(tmp_path)
    path = tmp_path / "truth/map0.png"
    if how != "grey 16":  # 500 does not fit
        content = json.loads((tmp_path / "truth.json").read_text())
        colours = read_segment_map(path)
        for info in content["annotations"][0]["segments_info"]:
            if info["id"] == 500:
                info["id"] = 77
        (tmp_path / "truth.json").write_text(json.dumps(content))
        colours[colours == 500] = 77
        pixels = np.stack([colours, np.zeros_like(colours), np.zeros_like(colours)], axis=2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    recolour(path, how)
    with Image.open(path) as picture:
        assert len(picture.getbands()) == 1
    assert main(["evaluate", *panoptic]) == 0
    assert report_in(tmp_path)["pq"] == {"all": 1, "things": 1, "stuff": 1}
    (note,) = report_in(tmp_path)["ground_truth_notes"]
    assert "maps with one channel, grey or a palette," in note and "(map0.png of image 0)" in note
    assert note in capsys.readouterr().err


@pytest.mark.parametrize(("how", "kind"), [("grey 8", "one channel"), ("palette", "a palette")])
def test_maps_with_one_channel_of_other_values_are_named(tmp_path: Path, how: str, kind: str) -> None:
    Image.fromarray(np.full((*SIZE, 3), (9, 0, 0), np.uint8)).save(tmp_path / "map.png")
    recolour(tmp_path / "map.png", how)
    with pytest.raises(
        ValueError, match=rf"map\.png: .*has {kind} whose values are not the ids .* colours, R"
    ):
        read_segment_map(tmp_path / "map.png", SIZE, {3, 500})


def test_a_palette_whose_colours_are_the_ids_is_read_by_its_colours(tmp_path: Path) -> None:
    ids = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3 * 300
    colours = np.stack([ids & 255, ids >> 8, ids * 0], axis=2).astype(np.uint8)
    Image.fromarray(colours).quantize(4, dither=Image.Dither.NONE).save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "P"
    assert np.array_equal(read_segment_map(tmp_path / "map.png", SIZE, {300, 600}), ids)


@pytest.mark.parametrize(
    ("size", "ids", "problem"),
    [
        ((20, 64), {9}, "is 64x40, but its picture 64x20"),
        (SIZE, {8}, "segment ids 9 are in the map, but not in the list"),
        (SIZE, {8, 9}, "segment ids 8 are in the list of segments, but not in the map"),
    ],
)
def test_a_map_that_does_not_fit_is_named(
    tmp_path: Path, size: tuple[int, int], ids: set[int], problem: str
) -> None:
    Image.fromarray(np.full((*SIZE, 3), (9, 0, 0), np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(ValueError, match=rf"map\.png: .*{problem}"):
        read_segment_map(tmp_path / "map.png", size, ids)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_map_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "map.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"map\.png: (no such panoptic map|cannot be read)"):
        read_segment_map(tmp_path / "map.png")


def test_a_map_that_is_postscript_starts_no_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1))
    (tmp_path / "map.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 40\n%%EndComments\n\n%%EOF\n"
    )
    with pytest.raises(ValueError, match="cannot be read as a panoptic map"):
        read_segment_map(tmp_path / "map.png")
    assert not started


def test_windows_paths_are_found_and_said(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "truth.json", [annotation(0, 7, PERSON_BOX)], 1)
    change(tmp_path / "truth.json", file_name="images\\0.png")
    arguments[3] = str(tmp_path)
    assert main(["evaluate", *arguments]) == 0
    assert report_in(tmp_path)["mask_ap"] == pytest.approx(1)
    assert (
        r"backslashes in file names are read as slashes (images\0.png, 1 in all)" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["images/0.png", "images\\0.png"])
def test_names_that_begin_with_the_folder_are_refused_before_the_model_is_loaded(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(evaluate_module, "open_model", lambda _: pytest.fail("the model was loaded"))
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "truth.json", [], 1)
    change(tmp_path / "truth.json", file_name=name)
    assert main(["evaluate", *arguments]) == 1
    told = capsys.readouterr().err
    assert f"none of the 1 images is in {tmp_path / 'images'}: {name}; the names begin with images" in told
    assert f"name the folder above, {tmp_path}" in told


OUTSIDE = ("/dev/zero", "/dev/stdin", "/", "..")


@pytest.mark.parametrize("name", [*OUTSIDE, ".", "a\nb", "x" * 300, "\udce9.png"])
def test_names_of_other_things_than_files_are_refused(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "truth.json", [], 1)
    change(tmp_path / "truth.json", file_name=name)
    assert main(["evaluate", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    why = "leads out of the folder" if name in OUTSIDE else "none of the 1 images is in"
    assert why in line and line.isprintable()
    assert not known_model.asked


def test_names_for_the_table_are_made_printable(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "truth.json", [annotation(0, 7, PERSON_BOX)], 1)
    content = json.loads((tmp_path / "truth.json").read_text())
    content["categories"] += [{"id": 90, "name": "\x1b[2J\n" + "x" * 10_000}]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert main(["evaluate", *arguments]) == 0
    table = capsys.readouterr().out
    assert r"\x1b[2J\nxxx" in table and "\x1b" not in table and len(table) < 3000
