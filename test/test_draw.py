"""The annotated picture: what it changes, where, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from seg_node.draw import draw_segmentation, instance_colour, stuff_colour, to_bgr
from seg_node.types import (
    Channels,
    Frame,
    Instances,
    LabelSet,
    MaskCrop,
    PanopticSegments,
    Roi,
    Segment,
    Segmentation,
)

SIZE = (120, 200)
LABELS = LabelSet({1: "person", 2: "an object with quite a long name"}, {9: "floor"})


def grey() -> NDArray[np.uint8]:
    return np.full((*SIZE, 3), 100, np.uint8)


def one_object(
    x: int, y: int, width: int, height: int, class_id: int = 1, object_id: int = 1
) -> Segmentation:
    mask = MaskCrop(x, y, np.ones((height, width), bool))
    found = Instances(
        boxes_xyxy=np.array([[x, y, x + width, y + height]], np.float32),
        scores=np.array([0.87], np.float32),
        class_ids=np.array([class_id], np.int32),
        masks=(mask,),
        ids=np.array([object_id], np.uint32),
    )
    return Segmentation(SIZE, found)


def test_an_empty_segmentation_gives_an_equal_copy() -> None:
    image = grey()
    picture = draw_segmentation(image, Segmentation(SIZE, Instances.empty()), LABELS)
    assert picture is not image
    np.testing.assert_array_equal(picture, image)


def test_pixels_inside_turn_to_the_objects_colour_and_those_outside_stay() -> None:
    image = grey()
    picture = draw_segmentation(image, one_object(50, 40, 60, 30), LABELS, 0.5, boxes=False, captions=False)
    np.testing.assert_array_equal(image, grey())
    assert picture[55, 80].tolist() == pytest.approx([(100 + c) / 2 for c in instance_colour(1)], abs=1)
    assert picture[40, 50].tolist() == list(instance_colour(1))  # the outline
    outside = np.ones(SIZE, bool)
    outside[40:70, 50:110] = False
    assert (picture[outside] == 100).all()


def test_box_lines_lie_on_the_boxs_first_and_last_pixels() -> None:
    segmentation = one_object(50, 40, 60, 30)
    picture = draw_segmentation(grey(), segmentation, LABELS, opacity=0.0, captions=False)
    changed = (picture != 100).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 69, 50, 109)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (180, 0), (180, 110), (50, 60)])
def test_a_caption_stays_inside_the_image(x: int, y: int) -> None:
    with_caption = draw_segmentation(grey(), one_object(x, y, 20, 10, 2), LABELS, boxes=False)
    without = draw_segmentation(grey(), one_object(x, y, 20, 10, 2), LABELS, boxes=False, captions=False)
    rows, columns = np.nonzero((with_caption != without).any(axis=2))
    # a caption cut at the border would be narrower than the whole one in a wide image
    wide = np.full((300, 900, 3), 100, np.uint8)
    whole = draw_segmentation(wide, one_object(300, 100, 20, 10, 2), LABELS, boxes=False)
    plain = draw_segmentation(wide, one_object(300, 100, 20, 10, 2), LABELS, boxes=False, captions=False)
    whole_columns = np.nonzero((whole != plain).any(axis=2))[1]
    wanted = min(int(np.ptp(whole_columns)), SIZE[1] - 1)
    assert np.ptp(columns) >= wanted - 25
    assert rows.max() < SIZE[0]


def test_the_better_of_two_overlapping_objects_is_on_top() -> None:
    first, second = one_object(50, 40, 60, 30).instances, one_object(60, 45, 60, 30, object_id=2).instances
    both = Instances(
        *(
            np.concatenate([getattr(first, n), getattr(second, n)])
            for n in ("boxes_xyxy", "scores", "class_ids")
        ),
        masks=first.masks + second.masks,
        ids=np.array([1, 2], np.uint32),
    )
    picture = draw_segmentation(grey(), Segmentation(SIZE, both), LABELS, 1.0, boxes=False, captions=False)
    assert picture[55, 80].tolist() == list(instance_colour(1))
    assert picture[72, 100].tolist() == list(instance_colour(2))


def test_stuff_is_tinted_in_the_colour_of_its_class() -> None:
    segment_map = np.zeros(SIZE, np.uint16)
    segment_map[80:] = 1
    floor = Segment(1, 9, False, 0.0, 40 * 200, Roi(0, 80, 200, 40), 0)
    empty = Segmentation(SIZE, Instances.empty())
    picture = draw_segmentation(
        grey(), replace(empty, panoptic=PanopticSegments(segment_map, (floor,))), LABELS, 1.0
    )
    assert (picture[:80] == 100).all()
    assert picture[100, 20].tolist() == pytest.approx([(100 + c) / 2 for c in stuff_colour(9)], abs=1)


def test_an_object_without_visible_pixels_is_drawn_as_its_box_alone() -> None:
    segmentation = one_object(50, 40, 60, 30)
    hidden = replace(segmentation.instances, masks=(MaskCrop(0, 0, np.zeros((0, 0), bool)),))
    picture = draw_segmentation(grey(), Segmentation(SIZE, hidden), LABELS, captions=False)
    assert (picture[41:69, 51:109] == 100).all() and (picture[40, 60] != 100).any()


def test_ids_have_distinct_colours() -> None:
    colours = [instance_colour(i) for i in range(1, 25)]
    distances = [np.abs(np.subtract(a, b)).sum() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(distances) > 25


@pytest.mark.parametrize(
    ("channels", "pixel"),
    [("bgr", (10, 20, 30)), ("rgb", (30, 20, 10)), ("bgra", (10, 20, 30, 255)), ("rgba", (30, 20, 10, 255))],
)
def test_every_channel_order_becomes_bgr(channels: Channels, pixel: tuple[int, ...]) -> None:
    pixels = np.full((4, 6, len(pixel)), pixel, np.uint8)
    bgr = to_bgr(Frame(pixels, channels))
    assert (bgr == (10, 20, 30)).all() and not np.shares_memory(bgr, pixels)


def test_grey_becomes_bgr() -> None:
    assert (to_bgr(Frame(np.full((4, 6), 77, np.uint8), "mono")) == 77).all()
