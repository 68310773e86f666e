# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""COCO ground truth of instances → scores, as `seg_node evaluate --coco` works (ground_truth, scorers)."""

from pathlib import Path
from random import Random

from fuzz import trees, truth
from fuzz.target import Input, Target
from seg_node.evaluation.ground_truth import read_instance_truth, read_true_image
from seg_node.evaluation.scorers import InstanceScorer


def make(random: Random) -> Input:
    return {"text": trees.json_text(truth.INSTANCES, random)}


def run(fields: Input, folder: Path) -> None:
    found = read_instance_truth(truth.write_data_set(folder, fields["text"], truth.png_map()))
    scorer = InstanceScorer(found, truth.LABELS)
    out = folder / "out"
    out.mkdir()
    for image in found.images.values():
        try:
            frame = read_true_image(folder, image)
        except ValueError:  # evaluate leaves such an image out
            continue
        scorer.add(image, truth.answer(frame.image_size))
    scorer.scores()
    scorer.write(out)
    truth.check_nothing_beside(folder, out)
    truth.as_strict_json(out / "instances.json")


TARGET = Target("instance_truth", make, run, (ValueError, FileNotFoundError))
