# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""COCO ground truth of panoptic maps → scores, as `seg_node evaluate --panoptic` works."""

from pathlib import Path
from random import Random

from fuzz import files, trees, truth
from fuzz.target import Input, Target
from seg_node.evaluation.ground_truth import read_panoptic_truth, read_true_image
from seg_node.evaluation.scorers import PanopticScorer


def make(random: Random) -> Input:
    maps = truth.png_map() if random.random() < 0.8 else files.broken_png(truth.png_map(), random)
    return {"text": trees.json_text(truth.PANOPTIC, random), "maps": maps}


def run(fields: Input, folder: Path) -> None:
    path = truth.write_data_set(folder, fields["text"], fields["maps"])
    found = read_panoptic_truth(path, folder / "maps")
    out = folder / "out"
    out.mkdir()
    scorer = PanopticScorer(found, truth.LABELS, out)
    for image in found.images.values():
        try:
            scorer.add(image, truth.answer(read_true_image(folder, image).image_size))
        except ValueError:  # evaluate leaves such an image out
            continue
    scorer.scores()
    scorer.write(out)
    truth.check_nothing_beside(folder, out)
    truth.as_strict_json(out / "panoptic.json")


TARGET = Target("panoptic_truth", make, run, (ValueError, FileNotFoundError))
