# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rules for pictures that are not exhaustive, by closed form."""

import math

import pytest
import torch

from seg_node.training.losses import semantic_loss
from seg_node.training.partial import IGNORED, ignore_crowded, ignore_unseen, inside_crowds, possible_classes

# of background, cup, can
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])


def cross_entropy(logits, labels, exhaustive):
    ruled = possible_classes(logits, torch.tensor(labels), torch.tensor(exhaustive))
    return torch.nn.functional.cross_entropy(ruled, torch.tensor(labels), reduction="none")


def test_background_is_not_taught_against_a_class_that_nobody_drew():
    loss = cross_entropy(LOGITS[:1], [0], [[True, True, False]])
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + math.e**2)))


def test_a_labelled_object_is_taught_against_every_class():
    loss = cross_entropy(LOGITS[:1], [1], [[True, False, False]])
    everything = math.e + math.e**2 + math.e**3
    assert loss.item() == pytest.approx(-math.log(math.e**2 / everything), rel=1e-6)


def test_a_region_in_a_picture_of_which_nothing_is_known_teaches_nothing():
    logits = LOGITS[:1].clone().requires_grad_()
    loss = cross_entropy(logits, [0], [[True, False, False]]).sum()
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 3))


def test_regions_of_two_pictures_keep_their_own_rules():
    loss = cross_entropy(LOGITS, [0, 0], [[True, True, True], [True, True, False]])
    assert loss.tolist() == pytest.approx(
        [-math.log(1 / (1 + math.e + math.e**2)), -math.log(1 / (1 + math.e))]
    )


ANCHORS = torch.tensor([[0.0, 0, 10, 10], [8, 0, 18, 10], [100, 100, 110, 110], [9.9, 0, 19.9, 10]])
BOX = torch.tensor([[0.0, 0, 10, 10]])


def test_background_far_from_all_labels_is_ignored_in_an_incomplete_picture():
    labels = torch.tensor([1.0, 0, 0, 0])
    # overlaps with the box: 1, 20 / 180 = 0.11, 0, 1 / 199 = 0.005
    assert ignore_unseen(labels, ANCHORS, BOX, exhaustive=False).tolist() == [1, 0, IGNORED, IGNORED]


def test_a_complete_picture_keeps_all_its_background():
    labels = torch.tensor([1.0, 0, 0, 0])
    assert torch.equal(ignore_unseen(labels, ANCHORS, BOX, exhaustive=True), labels)


def test_an_incomplete_picture_without_a_label_has_no_background():
    labels = torch.zeros(4)
    assert ignore_unseen(labels, ANCHORS, BOX[:0], exhaustive=False).tolist() == [IGNORED] * 4


@pytest.mark.parametrize(
    ("crowds", "expected"),
    [
        ([], [False, False]),
        ([[0.0, 0, 5, 20]], [False, False]),  # half of the first: not more than half
        ([[0.0, 0, 6, 20]], [True, False]),
        ([[50.0, 50, 60, 60], [0, 0, 100, 100]], [True, True]),
    ],
)
def test_a_box_is_inside_a_crowd_when_most_of_it_is(crowds, expected):
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 30]])
    assert inside_crowds(boxes, torch.tensor(crowds).reshape(-1, 4)).tolist() == expected


def test_only_background_is_ignored_inside_crowds():
    crowd = torch.tensor([[0.0, 0, 20, 20]])
    assert ignore_crowded(torch.tensor([1.0, 0, 0, -1]), ANCHORS, crowd).tolist() == [1, IGNORED, 0, IGNORED]


def test_unknown_pixels_have_no_part_in_the_semantic_loss():
    logits = torch.zeros(2, 2, 2, 2)
    logits[0, 1] = 3.0
    semantic = torch.full((2, 8, 8), 255)
    semantic[0, :2] = 1
    semantic[0, 2] = 0
    right, wrong = math.log(1 + math.exp(-3)), math.log(1 + math.exp(3))
    assert semantic_loss(logits, semantic).item() == pytest.approx((2 * right + wrong) / 3, rel=1e-5)


def test_pictures_without_a_map_give_no_semantic_loss():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = semantic_loss(logits, torch.full((1, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(1, 3, 2, 2))
