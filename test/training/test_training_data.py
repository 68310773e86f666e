# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Reading data sets for training, augmentation, and ground truth in the model's classes."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from shapes_dataset import SIZE, STUFF, THINGS, write_shapes

from seg_node.evaluation.coco import panoptic_png
from seg_node.evaluation.true_pictures import read_segment_map, relabel
from seg_node.preprocess.prepare import InputSpec
from seg_node.training.augment import augment, drop_small, mirror, zoom
from seg_node.training.classes import UNKNOWN, ClassMap, own_class_map
from seg_node.training.dataset import DataSet, read_pictures, read_truth
from seg_node.training.examples import Collate, Examples
from seg_node.training.network import model_labels
from seg_node.training.paste_instances import paste_objects
from seg_node.training.relabel import relabel_truth
from seg_node.training.sample import Sample, decode_masks, open_picture
from seg_node.training.validate import only_exhaustive
from seg_node.types import Instances, MaskCrop, Segmentation

pytest.importorskip("pycocotools")
CLASSES = own_class_map(THINGS.values(), STUFF.values())


def source_of(shapes, panoptic=True):
    maps = (shapes.panoptic, shapes.panoptic_dir) if panoptic else (None, None)
    return DataSet(shapes.data, shapes.images, *maps)


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def labelled(masks, labels, image=None, semantic=None):
    masks = np.array(masks, np.uint8)
    size = masks.shape[1:]
    return Sample(
        np.zeros((*size, 3), np.uint8) if image is None else image,
        np.array(labels, np.int64),
        masks,
        np.zeros((0, *size), np.uint8),
        np.array([True, True]),
        np.full(size, UNKNOWN, np.uint8) if semantic is None else semantic,
    )


def rectangle(top, left, bottom, right, size=(100, 100)):
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def test_a_picture_is_opened_with_masks_and_semantic_map(tmp_path):
    shapes = write_shapes(tmp_path / "a", 3)
    truth = read_truth(source_of(shapes))
    picture = read_pictures(truth, CLASSES)[0]
    opened = open_picture(picture)
    assert opened.image.shape == (*SIZE, 3) and opened.exhaustive.tolist() == [True, True, True]
    things = opened.masks.any(0)
    assert np.array_equal(opened.semantic == 0, things)
    upper = np.arange(SIZE[0])[:, None] < SIZE[0] // 2
    assert np.array_equal(opened.semantic[~things], np.where(upper, 1, 2).repeat(SIZE[1], 1)[~things])
    for mask, label in zip(opened.masks, opened.labels, strict=True):
        _, green, red = opened.image[mask > 0].mean(0)[::-1]
        assert (green > 150 > red) if label == 1 else (red > 150 > green)


@pytest.mark.parametrize("mask", [[], [[]], [[1, 2, 9, 8]], None])
def test_where_an_object_has_a_box_and_no_mask_nothing_is_taught(tmp_path, mask):
    shapes = write_shapes(tmp_path / "a", 2)
    change(shapes.data, lambda c: c["annotations"][0].update(segmentation=mask))
    truth = read_truth(source_of(shapes))
    x, y, width, height = truth.instances.annotations[0]["bbox"]
    opened = open_picture(read_pictures(truth, CLASSES)[0])
    of_picture = [a for a in truth.instances.annotations if a["image_id"] == 1]
    assert len(opened.labels) == len(of_picture) - 1
    assert np.array_equal(opened.crowds, [rectangle(y, x, y + height, x + width, SIZE)])


@pytest.mark.parametrize(
    ("mask", "bbox"), [({"size": [4, 4]}, [1, 2, 8, 6]), (5, [1, 2, 8, 6]), ([], None), (None, [])]
)
def test_an_object_without_a_mask_and_a_box_is_named(tmp_path, mask, bbox):
    shapes = write_shapes(tmp_path / "a", 2)
    change(shapes.data, lambda c: c["annotations"][0].update(segmentation=mask, bbox=bbox))
    with pytest.raises(ValueError, match="annotation 1 of image 1 has no mask: draw a polygon"):
        read_truth(source_of(shapes))


def test_masks_are_taught_without_boxes(tmp_path):
    shapes = write_shapes(tmp_path / "a", 2)
    before = read_pictures(read_truth(source_of(shapes)), CLASSES)
    change(shapes.data, lambda c: [annotation.pop("bbox") for annotation in c["annotations"]])
    assert read_pictures(read_truth(source_of(shapes)), CLASSES) == before


def test_crowds_and_ignored_categories_teach_nothing(tmp_path):
    shapes = write_shapes(tmp_path / "a", 1, seed=3)
    change(shapes.data, lambda c: c["annotations"][0].update(iscrowd=1))
    classes = ClassMap({"square": frozenset({"square"})}, {"wall": frozenset({"wall"})}, frozenset({"disc"}))
    truth = read_truth(source_of(shapes))
    opened = open_picture(read_pictures(truth, classes)[0])
    squares = [a for a in truth.instances.annotations if a["category_id"] == 1 and not a["iscrowd"]]
    assert len(opened.labels) == len(squares)
    assert len(opened.crowds) == len(truth.instances.annotations) - len(squares) > 0
    # the floor is none of these classes
    assert set(np.unique(opened.semantic)) <= {0, 1, UNKNOWN}
    assert (opened.semantic[SIZE[0] // 2 :] != 1).all()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("all", [True, True, True]),
        (["disc"], [True, False, True]),
        ([], [True, False, False]),
        ("coco80", [True, False, False]),
    ],
)
def test_a_record_says_what_is_drawn_completely(tmp_path, said, expected):
    shapes = write_shapes(tmp_path / "a", 1)
    change(shapes.data, lambda c: c["images"][0].update(exhaustive_categories=said))
    (picture,) = read_pictures(read_truth(source_of(shapes, panoptic=False)), CLASSES)
    assert list(picture.exhaustive) == expected and picture.panoptic_map is None


def test_another_statement_of_completeness_is_refused(tmp_path):
    shapes = write_shapes(tmp_path / "a", 1)
    change(shapes.data, lambda c: c["images"][0].update(exhaustive_categories="most"))
    with pytest.raises(ValueError, match="image 1: exhaustive_categories 'most' must be a list"):
        read_truth(source_of(shapes))


def test_annotations_of_unknown_images_are_left_out(tmp_path):
    shapes = write_shapes(tmp_path / "a", 2)
    change(shapes.data, lambda c: c["annotations"][0].update(image_id=77))
    pictures = read_pictures(read_truth(source_of(shapes)), CLASSES)
    assert sum(len(p.labels) for p in pictures) == len(json.loads(shapes.data.read_text())["annotations"]) - 1


def write_damaged(path, damage):
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "size":
        cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))
    elif damage == "text":
        path.write_text("no picture")
    else:  # all of the header, half of the pixels
        _, code = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8))
        path.write_bytes(code.tobytes()[: len(code) // 2])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("missing", "no such image"),
        ("empty", "no such image .or it is empty"),
        ("size", "is 20x10"),
        ("text", "cannot be read as an image"),
        ("truncated", "cannot be read as an image .*truncated"),
    ],
)
def test_a_picture_that_does_not_fit_its_record_is_named(tmp_path, damage, problem):
    shapes = write_shapes(tmp_path / "a", 1)
    (picture,) = read_pictures(read_truth(source_of(shapes)), CLASSES)
    write_damaged(picture.path, damage)
    with pytest.raises(ValueError, match=rf"1\.png: {problem}"):
        open_picture(picture)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("missing", r"1 of 2 images are not in .*images: 1\.png; is it the folder"),
        ("size", r"1\.png: is 20x10, but the ground truth says 128x96"),
        ("text", r"1\.png: cannot be read as an image"),
    ],
)
def test_pictures_are_checked_before_the_training(tmp_path, damage, problem):
    shapes = write_shapes(tmp_path / "a", 2)
    write_damaged(shapes.images / "1.png", damage)
    with pytest.raises(ValueError, match=problem):
        read_truth(source_of(shapes))


def test_a_picture_is_read_as_evaluate_reads_it(tmp_path):
    shapes = write_shapes(tmp_path / "a", 1)
    path = shapes.images / "1.png"
    pixels = np.random.default_rng(0).integers(0, 2**16, SIZE[::-1], np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    Image.fromarray(pixels).save(path, exif=exif)
    (picture,) = read_pictures(read_truth(source_of(shapes, panoptic=False)), CLASSES)
    expected = np.rot90(np.round(pixels / 257).astype(np.uint8), -1)
    assert np.array_equal(open_picture(picture).image, np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda ids: ids[: SIZE[0] // 2], "is 128x48, but its picture 128x96"),
        (lambda ids: np.where(ids == 1, 77, ids), "segment ids 77 are in the map, but not in the list"),
        (
            lambda ids: np.where(ids == 2, 0, ids),
            "segment ids 2 are in the list of segments, but not in the map",
        ),
    ],
)
def test_a_map_that_does_not_fit_its_picture_is_named(tmp_path, edit, problem):
    shapes = write_shapes(tmp_path / "a", 1)
    (picture,) = read_pictures(read_truth(source_of(shapes)), CLASSES)
    path = shapes.panoptic_dir / "1.png"
    Image.fromarray(panoptic_png(edit(read_segment_map(path)))).save(path)
    with pytest.raises(ValueError, match=rf"1\.png: .*{problem}"):
        open_picture(picture)


def test_missing_maps_are_named_before_the_training(tmp_path):
    shapes = write_shapes(tmp_path / "a", 5)
    for number in range(1, 5):
        (shapes.panoptic_dir / f"{number}.png").unlink()
    with pytest.raises(ValueError, match=r"4 of 5 panoptic maps are not in .*: 1\.png, 2\.png, 3\.png, …"):
        read_truth(source_of(shapes))


def test_segments_of_unlisted_categories_teach_nothing(tmp_path):
    shapes = write_shapes(tmp_path / "a", 1)
    change(shapes.panoptic, lambda c: c["annotations"][0]["segments_info"][0].update(category_id=99))
    truth = read_truth(source_of(shapes))
    opened = open_picture(read_pictures(truth, CLASSES)[0])
    ids = read_segment_map(shapes.panoptic_dir / "1.png")
    assert (opened.semantic[ids == 1] == UNKNOWN).all() and (opened.semantic[ids == 2] == 2).all()
    written = read_truth(relabel_truth(truth, CLASSES, model_labels(CLASSES), tmp_path / "v" / "set1"))
    assert (read_segment_map(written.panoptic.maps[1])[ids == 1] == 0).all()


def test_ids_become_the_values_that_are_given_for_them():
    ids = np.random.default_rng(0).integers(0, 2**24, (30, 40)).astype(np.int32)
    chosen = np.unique(ids)[::2].tolist()
    value_of = {i: n % 256 for n, i in enumerate(chosen)}
    expected = np.array([[value_of.get(int(i), 7) for i in row] for row in ids])
    assert np.array_equal(relabel(ids, value_of, 7), expected)
    assert (relabel(ids, {}, 7) == 7).all() and relabel(ids[:0], value_of, 7).shape == (0, 40)


@pytest.mark.parametrize(("count", "size"), [(5001, (96, 128)), (30, (20_000, 20_000))])
def test_more_objects_than_memory_holds_are_refused(tmp_path, count, size):
    shapes = write_shapes(tmp_path / "a", 1)
    truth = read_truth(source_of(shapes, panoptic=False))
    annotation = truth.instances.annotations[0]
    image = replace(truth.instances.images[1], size=size)
    instances = replace(truth.instances, annotations=(annotation,) * count, images={1: image})
    with pytest.raises(
        ValueError, match=f"image 1 has {count} objects on {size[1]}x{size[0]} pixels, too many"
    ):
        read_pictures(replace(truth, instances=instances), CLASSES)


def test_masks_are_read_from_polygons_and_both_kinds_of_run_lengths():
    from pycocotools import mask as coco_mask

    expected = rectangle(2, 1, 5, 4, (8, 6))
    compressed = coco_mask.encode(np.asfortranarray(expected))
    counts = [8 + 2, 3, 5, 3, 5, 3, 8 * 6 - 29]  # down the columns
    polygon = [[1, 2, 4, 2, 4, 5, 1, 5]]
    found = decode_masks([compressed, {"size": [8, 6], "counts": counts}, polygon], (8, 6))
    assert np.array_equal(found, [expected] * 3)
    assert decode_masks([], (8, 6)).shape == (0, 8, 6)


def test_mirroring_moves_masks_with_the_picture():
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 0] = 9
    picture = labelled([rectangle(1, 0, 2, 1, (4, 6))], [1], image)
    mirrored = mirror(picture)
    assert np.array_equal(np.argwhere(mirrored.image[..., 0]), [[1, 5]])
    assert np.array_equal(np.argwhere(mirrored.masks[0]), [[1, 5]])


@pytest.mark.parametrize(("factor", "size"), [(0.5, (50, 75)), (1.0, (100, 150)), (2.0, (100, 160))])
def test_a_zoomed_picture_fits_the_input_and_keeps_masks_on_their_objects(factor, size):
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:120, 130:170] = 200
    picture = labelled([(image[..., 0] > 0).astype(np.uint8)], [1], image)
    zoomed = zoom(picture, 100, 160, factor, np.random.default_rng(0))
    assert zoomed.image.shape[:2] == zoomed.masks.shape[1:] == zoomed.semantic.shape == size
    seen = zoomed.image[..., 0] > 100
    common, either = (seen & (zoomed.masks[0] > 0)).sum(), (seen | (zoomed.masks[0] > 0)).sum()
    assert common > 0.85 * either > 0


def test_an_upright_picture_stays_upright():
    picture = labelled(np.zeros((0, 300, 200)), [])
    assert augment(picture, 64, 96, np.random.default_rng(0)).image.shape[0] <= 96
    assert zoom(picture, 64, 96, 1.0, np.random.default_rng(0)).image.shape == (96, 64, 3)


def test_objects_too_small_to_teach_are_neither_object_nor_background():
    picture = labelled(
        [rectangle(10, 10, 40, 40), rectangle(60, 60, 62, 90)],
        [1, 1],
        semantic=np.zeros((100, 100), np.uint8),
    )
    kept = drop_small(picture, 4)
    assert len(kept.labels) == len(kept.masks) == 1 and len(kept.crowds) == 1
    assert (kept.semantic[60:62, 60:90] == UNKNOWN).all() and (kept.semantic == UNKNOWN).sum() == 60


def test_a_pasted_object_brings_its_pixels_mask_and_label():
    image = np.full((100, 100, 3), 250, np.uint8)
    giver = labelled([rectangle(20, 20, 60, 70)], [2], image)
    onto = labelled(np.zeros((0, 100, 100)), [], semantic=np.ones((100, 100), np.uint8))
    pasted = paste_objects(onto, giver, 3, np.random.default_rng(0))
    assert pasted.labels.tolist() == [2]
    inner = cv2.erode(pasted.masks[0], np.ones((7, 7), np.uint8)) > 0
    assert inner.any() and (pasted.image[inner] > 245).all()
    assert (pasted.image[pasted.masks[0] == 0] == 0).all()
    assert np.array_equal(pasted.semantic == 0, pasted.masks[0] > 0)


def test_objects_cut_off_by_the_edge_are_not_pasted():
    giver = labelled([rectangle(0, 20, 60, 70), rectangle(50, 50, 100, 100)], [1, 1])
    onto = labelled(np.zeros((0, 100, 100)), [])
    assert len(paste_objects(onto, giver, 3, np.random.default_rng(0)).labels) == 0


def test_what_a_pasted_object_covers_is_no_longer_there():
    giver = labelled([rectangle(10, 10, 90, 90)], [2])
    covered = [
        rectangle(top, left, top + 4, left + 4) for top in range(0, 100, 4) for left in range(0, 100, 4)
    ]
    pasted = paste_objects(labelled(covered, [1] * 625), giver, 1, np.random.default_rng(1))
    assert pasted.masks.sum(0).max() == 1
    assert pasted.labels[-1] == 2 and len(pasted.labels) < 626
    before = 16
    assert (pasted.masks[:-1].sum((1, 2)) >= 0.3 * before).all()


def test_an_example_is_the_same_each_time_and_differs_from_the_next(tmp_path):
    pictures = read_pictures(read_truth(source_of(write_shapes(tmp_path / "a", 3))), CLASSES)
    examples = Examples([pictures], [1], 64, 96, seed=5)
    first, again, second = examples[0], examples[0], examples[1]
    assert np.array_equal(first.image, again.image) and np.array_equal(first.masks, again.masks)
    assert first.image.shape != second.image.shape or not np.array_equal(first.image, second.image)


def test_a_data_set_is_drawn_as_often_as_its_weight_says(tmp_path):
    sets = []
    for name, category in (("a", "square"), ("b", "disc")):
        shapes = write_shapes(tmp_path / name, 1, most=1)
        classes = ClassMap({category: frozenset(THINGS.values())}, {})
        sets.append(
            [
                replace(p, exhaustive=(True, name == "a"))
                for p in read_pictures(read_truth(source_of(shapes)), classes)
            ]
        )
    examples = Examples(sets, [3, 1], 32, 48, seed=0)
    share = np.mean([examples[i].exhaustive[1] for i in range(200)])
    assert 0.65 < share < 0.85  # 0.75 expected, 0.03 one standard deviation


def test_a_batch_is_normalised_and_padded_with_zeros():
    white = labelled([rectangle(2, 3, 20, 30, (40, 50))], [1], np.full((40, 50, 3), 255, np.uint8))
    small = labelled(np.zeros((0, 32, 64)), [])
    batch = Collate(InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3))([white, small])
    assert batch.pixels.shape == (2, 3, 64, 64) and batch.sizes == ((40, 50), (32, 64))
    assert (batch.pixels[0, :, :40, :50] == 2).all() and (batch.pixels[0, :, 40:] == 0).all()
    assert (batch.pixels[1, :, :32] == -2).all()
    assert batch.targets[0].boxes.tolist() == [[3, 2, 30, 20]] and batch.targets[1].boxes.shape == (0, 4)
    assert (batch.semantic == UNKNOWN).all()


def test_ground_truth_in_the_models_classes_joins_stuff_and_leaves_out_the_rest(tmp_path):
    shapes = write_shapes(tmp_path / "a", 2)
    surface = ClassMap({"round": frozenset({"disc"})}, {"surface": frozenset({"wall", "floor"})})
    labels = model_labels(surface)
    truth = read_truth(source_of(shapes))
    written = read_truth(relabel_truth(truth, surface, labels, tmp_path / "v" / "set1"))
    discs = [a for a in truth.instances.annotations if a["category_id"] == 2]
    assert [a["category_id"] for a in written.instances.annotations] == [1] * len(discs)
    assert dict(written.instances.categories) == {1: "round"}
    assert dict(written.panoptic.categories) == {1: "round", 2: "surface"}
    for image_id, segments in written.panoptic.segments.items():
        before = read_segment_map(truth.panoptic.maps[image_id])
        after = read_segment_map(written.panoptic.maps[image_id])
        (stuff,) = [s for s in segments if s.category_id == 2]
        assert np.array_equal(after == stuff.id, np.isin(before, [1, 2]))
        squares = [s.id for s in truth.panoptic.segments[image_id] if s.category_id == 1]
        assert np.array_equal(after == 0, np.isin(before, squares))


def test_predictions_of_classes_that_nobody_drew_are_not_scored():
    crops = tuple(MaskCrop(i, 0, np.ones((1, 1), bool)) for i in range(3))
    found = Instances(
        np.zeros((3, 4), np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([2, 1, 2], np.int32),
        crops,
        np.array([1, 2, 3], np.uint32),
    )
    kept = only_exhaustive(Segmentation((4, 4), found), (True, False, True)).instances
    assert kept.class_ids.tolist() == [2, 2] and kept.ids.tolist() == [1, 3]
    assert [crop.x_offset for crop in kept.masks] == [0, 2]
