# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import cv2
import numpy as np
import pytest

from seg_node.drawing import palette
from seg_node.drawing.draw import draw_segmentation, encode_jpeg, to_bgr
from seg_node.drawing.palette import object_colour, stuff_colour
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation, SegmentOptions

LABELS = LabelSet({1: "person", 2: "cup"}, {118: "floor", 187: "wall"})
NOTHING = LabelSet({})


def scene(image_size, crops, ids=None, class_ids=None, boxes_xyxy=None, semantic=None):
    """A segmentation whose boxes are by default the crops' rectangles."""
    count = len(crops)
    rectangles = [
        (c.x_offset, c.y_offset, c.x_offset + c.pixels.shape[1], c.y_offset + c.pixels.shape[0])
        for c in crops
    ]
    instances = Instances(
        boxes_xyxy=np.array(boxes_xyxy or rectangles, np.float32).reshape(-1, 4),
        scores=np.linspace(0.95, 0.6, count).astype(np.float32),
        class_ids=np.array(class_ids or [1] * count, np.int32),
        masks=tuple(crops),
        ids=np.array(ids or range(1, count + 1), np.uint32),
    )
    if semantic is None:
        return Segmentation(image_size, instances)
    panoptic = fuse_panoptic(instances, semantic, image_size, LABELS, SegmentOptions(0.05))
    return Segmentation(image_size, instances, panoptic)


def noise(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def square(x, y, side):
    return MaskCrop(x, y, np.ones((side, side), bool))


def changed(before, after):
    return (before != after).any(axis=2)


def test_an_empty_segmentation_gives_an_equal_copy():
    picture = noise(48, 64)
    drawn = draw_segmentation(picture, scene((48, 64), []), LABELS)
    assert np.array_equal(drawn, picture)
    assert not np.shares_memory(drawn, picture)


def test_the_input_is_not_changed():
    picture = noise(120, 160)
    kept = picture.copy()
    drawn = draw_segmentation(picture, scene((120, 160), [square(20, 40, 50)]), LABELS)
    assert np.array_equal(picture, kept)
    assert changed(picture, drawn).any()


def test_inside_the_mask_pixels_are_blended_and_its_border_has_the_full_colour():
    ring = np.zeros((40, 60), bool)
    ring[2:38, 5:50] = True
    ring[10:20, 20:30] = False
    picture = noise(90, 120)
    segmentation = scene((90, 120), [MaskCrop(30, 25, ring)], ids=[6])
    drawn = draw_segmentation(picture, segmentation, LABELS, opacity=0.25, boxes=False, captions=False)
    mask = np.zeros((90, 120), bool)
    mask[25:65, 30:90] = ring
    # The outline: pixels of the mask with a neighbour, also a diagonal one, outside it.
    inner = mask.copy()
    for dy, dx in np.ndindex(3, 3):
        inner &= np.roll(mask, (dy - 1, dx - 1), axis=(0, 1))
    colour = np.array(object_colour(6))
    assert np.array_equal(changed(picture, drawn) & ~mask, np.zeros_like(mask))
    assert (drawn[mask & ~inner] == colour).all()
    assert np.abs(drawn[inner] - (0.75 * picture[inner] + 0.25 * colour)).max() <= 0.51


def test_opacity_zero_leaves_the_outline_only():
    picture = noise(90, 120)
    drawn = draw_segmentation(
        picture, scene((90, 120), [square(30, 25, 40)]), LABELS, opacity=0.0, boxes=False, captions=False
    )
    expected = np.zeros((90, 120), bool)
    expected[25:65, 30:70] = True
    expected[26:64, 31:69] = False
    assert np.array_equal(changed(picture, drawn), expected)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 7), (7, 1), (2, 2)])
@pytest.mark.parametrize("corner", ["first", "last"])
def test_tiny_objects_at_the_image_corners_are_drawn(shape, corner):
    picture = np.zeros((30, 50, 3), np.uint8)
    x, y = (0, 0) if corner == "first" else (50 - shape[1], 30 - shape[0])
    crop = MaskCrop(x, y, np.ones(shape, bool))
    drawn = draw_segmentation(picture, scene((30, 50), [crop]), LABELS, captions=False)
    expected = np.zeros((30, 50), bool)
    expected[y : y + shape[0], x : x + shape[1]] = True
    assert np.array_equal(changed(picture, drawn), expected)


@pytest.mark.parametrize(
    "box", [(-20.0, -9.0, 30.0, 30.0), (100.0, 50.0, 400.0, 300.0), (40.2, 30.7, 40.3, 30.8)]
)
def test_boxes_over_the_border_or_without_area_stay_inside_the_image(box):
    picture = noise(90, 120)
    segmentation = scene((90, 120), [square(60, 60, 1)], boxes_xyxy=[box])
    drawn = draw_segmentation(picture, segmentation, LABELS, captions=False)
    allowed = np.zeros((90, 120), bool)
    x_min, y_min, x_max, y_max = np.clip(np.round(box), 0, [120, 90, 120, 90]).astype(int)
    allowed[y_min:y_max, x_min:x_max] = True
    allowed[y_min + 1 : y_max - 1, x_min + 1 : x_max - 1] = False
    allowed[60, 60] = True
    assert not (changed(picture, drawn) & ~allowed).any()


def test_only_masks_boxes_and_captions_change():
    picture = noise(480, 640)
    crops = [square(50, 100, 60), square(300, 200, 100)]
    segmentation = scene((480, 640), crops, boxes_xyxy=[(48, 98, 113, 164), (295, 199, 401, 302)])
    drawn = draw_segmentation(picture, segmentation, LABELS)
    outside = np.ones((480, 640), bool)
    outside[98:164, 48:113] = outside[199:302, 295:401] = False
    captions = changed(picture, drawn) & outside
    # a filled rectangle above each box, starting at its left edge
    for x, bottom, other in (
        (48, 98, (slice(None), slice(220, None))),
        (295, 199, (slice(None), slice(0, 220))),
    ):
        mine = captions.copy()
        mine[other] = False
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        assert columns[0] == x and rows[-1] == bottom - 1
        assert 8 <= len(rows) <= 30 and 40 <= len(columns) <= 200
        assert mine[rows[0] : rows[-1] + 1, x : columns[-1] + 1].mean() > 0.95


def caption_of(image_size, box, name="person"):
    """Find the only caption, (x, y, width, height), by the pixels that it alone changes."""
    picture = noise(*image_size)
    segmentation = scene(image_size, [MaskCrop(0, 0, np.zeros((0, 0), bool))], boxes_xyxy=[box])
    labels = LabelSet({1: name})
    without = draw_segmentation(picture, segmentation, labels, boxes=False, captions=False)
    written = draw_segmentation(picture, segmentation, labels, boxes=False)
    return cv2.boundingRect(changed(without, written).astype(np.uint8))


def test_a_caption_stands_above_its_box_or_inside_it_at_the_top_edge():
    x, y, _, height = caption_of((240, 320), (50, 100, 120, 180))
    assert x == 50 and y + height == 100
    x, y, _, _ = caption_of((240, 320), (50, 3, 120, 180))
    assert (x, y) == (50, 3)


@pytest.mark.parametrize(
    "box", [(290, 100, 330, 200), (-40, 100, 20, 200), (-9, -9, 400, 300), (300, 235, 320, 240)]
)
def test_a_caption_at_the_border_is_whole(box):
    _, _, usual_width, usual_height = caption_of((240, 320), (50, 100, 120, 180))
    _, _, width, height = caption_of((240, 320), box)
    assert abs(width - usual_width) <= 1 and abs(height - usual_height) <= 1


def test_a_long_name_is_shortened_to_the_images_width_and_a_tiny_image_has_no_caption():
    x, _, width, height = caption_of((100, 120), (30, 50, 60, 80), name="name " * 40)
    assert x + width <= 120 and width > 80 and height < 30
    assert caption_of((6, 9), (1, 1, 5, 5)) == (0, 0, 0, 0)


def test_captions_of_two_objects_in_one_place_do_not_cover_each_other():
    box = (100, 100, 200, 200)
    crop = MaskCrop(0, 0, np.zeros((0, 0), bool))
    segmentation = scene((300, 400), [crop, crop], ids=[1, 2], boxes_xyxy=[box, box])
    drawn = draw_segmentation(np.zeros((300, 400, 3), np.uint8), segmentation, LABELS, boxes=False)
    first, second = ((drawn == object_colour(number)).all(axis=2) for number in (1, 2))
    assert abs(first.sum() - second.sum()) < 0.1 * first.sum() > 0


def test_the_better_score_lies_on_top():
    drawn = draw_segmentation(
        np.zeros((90, 120, 3), np.uint8),
        scene((90, 120), [square(30, 30, 20), square(20, 20, 40)]),
        LABELS,
        opacity=1.0,
        boxes=False,
        captions=False,
    )
    assert (drawn[40, 40] == object_colour(1)).all()
    assert (drawn[25, 25] == object_colour(2)).all()


def test_text_and_lines_grow_with_the_image():
    small, large = caption_of((240, 320), (50, 100, 120, 180)), caption_of((2160, 3840), (50, 900, 990, 1500))
    assert large[3] > 3 * small[3]
    crop = square(1000, 1000, 200)
    drawn = draw_segmentation(
        np.zeros((2160, 3840, 3), np.uint8), scene((2160, 3840), [crop]), LABELS, opacity=0.0, captions=False
    )
    assert (drawn[1100, 1000:1200].any(axis=1)).sum() == 2 * 5


def test_stuff_is_tinted_lightly_in_its_colour_named_and_void_stays():
    picture = noise(400, 600)
    semantic = np.zeros((400, 600), np.uint8)
    semantic[:100], semantic[300:] = 187, 118
    segmentation = scene((400, 600), [square(40, 20, 30)], semantic=semantic)
    drawn = draw_segmentation(picture, segmentation, LABELS, opacity=0.5, captions=False)
    for rows, name in ((slice(300, 400), "floor"), (slice(71, 100), "wall")):
        expected = 0.7 * picture[rows] + 0.3 * np.array(stuff_colour(name))
        assert np.abs(drawn[rows] - expected).max() <= 0.51
    assert np.array_equal(drawn[100:300], picture[100:300])
    assert (drawn[20, 40:70] == object_colour(1)).all()
    named = changed(drawn, draw_segmentation(picture, segmentation, LABELS, opacity=0.5))
    assert named[300:].any() and named[:100].any() and not named[100:300].any()


def test_stuff_of_many_rows_is_tinted_to_its_end():
    picture = noise(1300, 20)
    semantic = np.full((1300, 20), 118, np.uint8)
    semantic[:7] = 0
    segmentation = scene((1300, 20), [], semantic=semantic)
    drawn = draw_segmentation(picture, segmentation, LABELS, opacity=0.5, captions=False)
    expected = 0.7 * picture[7:] + 0.3 * np.array(stuff_colour("floor"))
    assert np.abs(drawn[7:] - expected).max() <= 0.51
    assert np.array_equal(drawn[:7], picture[:7])


def test_stuff_can_be_left_out_of_the_picture():
    picture = noise(400, 600)
    segmentation = scene((400, 600), [square(40, 20, 30)], semantic=np.full((400, 600), 118, np.uint8))
    drawn = draw_segmentation(picture, segmentation, LABELS, stuff=False)
    without = draw_segmentation(picture, replace(segmentation, panoptic=None), LABELS)
    assert np.array_equal(drawn, without)
    assert not np.array_equal(drawn, draw_segmentation(picture, segmentation, LABELS))


@pytest.mark.parametrize(("ids", "expected"), [(True, " #37  0.95"), (False, " 0.95")])
def test_captions_name_the_id_only_where_ids_last(monkeypatch, ids, expected):
    written = []
    monkeypatch.setattr("seg_node.drawing.draw.write_captions", lambda _, captions: written.extend(captions))
    draw_segmentation(noise(60, 90), scene((60, 90), [square(9, 20, 30)], ids=[37]), LABELS, ids=ids)
    assert [(caption.name, caption.ending) for caption in written] == [("person", expected)]


def test_stuff_has_the_colour_of_its_kind_whatever_the_dataset_calls_it():
    names = ["sky", "water", "tree", "floor", "wall", "table", "road", "building", "other"]
    for name, long in (
        ("sky", "sky-other-merged"),
        ("tree", "vegetation"),
        ("floor", "Floor-Wood"),
        ("wall", "wall-brick"),
        ("water", "sea"),
    ):
        assert stuff_colour(long) == stuff_colour(name)
    colours = np.array([stuff_colour(name) for name in names], int)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(len(names), dtype=int)
    assert distances.min() > 60
    (sky, water, tree), (floor, table) = colours[:3], colours[[3, 5]]  # BGR
    assert sky.argmax() == water.argmax() == 0 and tree.argmax() == 1
    assert floor.argmax() == table.argmax() == 2
    assert np.ptp(stuff_colour("other")) <= 1


def test_unknown_stuff_has_a_greyish_colour_of_its_own():
    colours = {stuff_colour(name) for name in ("cloth", "cardboard", "118", "", "\udce9")}
    assert len(colours) == 5 and all(np.ptp(colour) < 60 for colour in colours)


def test_colours_of_objects_are_stable_apart_and_vivid():
    assert object_colour(7) == object_colour(7)
    colours = np.array([object_colour(number) for number in range(1, 21)], int)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(20, dtype=int)
    assert distances.min() > 30
    assert np.abs(colours[1:] - colours[:-1]).sum(axis=1).min() > 120
    assert min(np.ptp(colours, axis=1)) > 70


def test_black_text_stands_out_from_all_colours():
    def luminance(colour):
        linear = [(v / 255 + 0.055) ** 2.4 / 1.055**2.4 if v > 10 else v / 255 / 12.92 for v in colour]
        return 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]

    for number in range(1, 256):
        assert (luminance(object_colour(number)) + 0.05) / 0.05 > 4.5  # contrast ratio of WCAG 2.1, level AA
    for name in (*palette._STUFF, *map(str, range(200))):
        assert (luminance(stuff_colour(name)) + 0.05) / 0.05 > 4.5


@pytest.mark.parametrize(
    ("channels", "shape"),
    [("bgr", (2, 3, 3)), ("rgb", (2, 3, 3)), ("bgra", (2, 3, 4)), ("rgba", (2, 3, 4)), ("mono", (2, 3))],
)
def test_any_frame_becomes_a_bgr_copy(channels, shape):
    rows = np.arange(2 * 20, dtype=np.uint8).reshape(2, 20)
    rows.flags.writeable = False
    used = int(np.prod(shape[1:]))
    pixels = (
        rows[:, :used].reshape(shape)
        if used == 20
        else np.lib.stride_tricks.as_strided(
            rows, shape, (20, *np.zeros(shape[1:], np.uint8).strides), writeable=False
        )
    )
    picture = to_bgr(Frame(pixels, channels))
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8 and picture.flags.writeable
    for i, j in np.ndindex(2, 3):
        pixel = np.atleast_1d(pixels[i, j])
        expected = {
            "bgr": pixel,
            "rgb": pixel[::-1],
            "bgra": pixel[:3],
            "rgba": pixel[:3][::-1],
            "mono": np.repeat(pixel, 3),
        }[channels]
        assert picture[i, j].tolist() == expected.tolist()
    assert not np.shares_memory(picture, rows)


@pytest.mark.parametrize("size", [(1, 1), (3, 65500), (65500, 3)])
def test_a_jpeg_holds_the_picture_in_its_colours(size):
    picture = np.full((*size, 3), (200, 30, 10), np.uint8)
    jpeg = encode_jpeg(picture, 90)
    assert jpeg.dtype == np.uint8 and jpeg.ndim == 1
    np.testing.assert_allclose(cv2.imdecode(jpeg, cv2.IMREAD_COLOR).astype(int), picture, atol=3)


@pytest.mark.parametrize("size", [(1, 70_000), (65_501, 2)])
def test_an_image_too_large_for_a_jpeg_is_refused(size):
    with pytest.raises(ValueError, match=f"image of {size[1]}x{size[0]} does not fit into a JPEG"):
        encode_jpeg(np.zeros((*size, 3), np.uint8), 90)
