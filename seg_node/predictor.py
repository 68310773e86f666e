# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A model as a function of an image, for scripts and notebooks. No ROS."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten

import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.draw import draw_segmentation
from seg_node.export.open_model import ModelSource, open_model
from seg_node.prompts import result_labels
from seg_node.types import Frame, LabelSet, PanopticSegments, Segmentation


@dataclass(frozen=True, repr=False)
class Prediction:
    """N objects found in one image, best first.

    segmentation: the full result, with cropped masks. image: the input, BGR.
    """

    segmentation: Segmentation
    labels: LabelSet
    image: NDArray[np.uint8]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(N, 4): x_min, y_min, x_max, y_max in pixels of the image."""
        return self.segmentation.instances.boxes_xyxy

    @property
    def scores(self) -> NDArray[np.float32]:
        """(N,), descending."""
        return self.segmentation.instances.scores

    @property
    def classes(self) -> NDArray[np.int32]:
        """(N,) class ids, in the numbering of `labels`."""
        return self.segmentation.instances.class_ids

    @property
    def names(self) -> list[str]:
        """N class names."""
        return [self.labels.name(class_id) for class_id in self.classes.tolist()]

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) masks of the whole image; `segmentation.instances.masks` has them cropped."""
        instances = self.segmentation.instances
        masks = np.zeros((len(instances), *self.segmentation.image_size), np.bool_)
        for mask, crop in zip(masks, instances.masks, strict=True):
            mask[crop.roi.slices] = crop.pixels
        return masks

    @property
    def panoptic(self) -> PanopticSegments:
        """The panoptic map and its segments; only things if the model knows no stuff."""
        assert self.segmentation.panoptic is not None
        return self.segmentation.panoptic

    def draw(self, min_score: float = 0.5) -> NDArray[np.uint8]:
        """Draw masks, boxes, names and scores of the objects above min_score on a copy of the image (BGR)."""
        shown = self.segmentation.instances.scored_over(min_score)
        return draw_segmentation(self.image, replace(self.segmentation, instances=shown), self.labels)

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {score:.2f}" for name, score in zip(self.names, self.scores, strict=True))
        height, width = self.segmentation.image_size
        return f"Prediction({len(self.scores)} objects in {width}x{height}: {shorten(found, 200)})"


class Predictor:
    """A loaded model with the thresholds of the software it was trained with.

    predictor = Predictor("mask_rcnn_R_50_FPN_3x.yaml", "model_final.pkl")
    found = predictor(cv2.imread("table.jpg"))
    print(found.boxes, found.classes, found.scores, found.masks)
    """

    def __init__(
        self,
        config: str | Path | None = None,
        weights: str | Path | None = None,
        *,
        family: str = "auto",
        labels: str | Path | None = None,
        device: str = "auto",
        precision: str | None = None,
        engine: str | Path | None = None,
        score_threshold: float | None = None,
        classes: Iterable[str] | None = None,
        prompts: Sequence[str] = (),
    ) -> None:
        """Load the model. config, weights, family and labels are those of `load_model`, errors included.

        device: see `choose_device`. score_threshold: instances with a score at or below it are dropped.
        precision: see `choose_precision`; None: exact, or that of `engine`.
        engine: a file from `seg_node export` for images of one size; see `load_exported`, also for errors.
        classes: names of the classes to keep.
        prompts: what a model that takes text (SAM 3) is to find; their places are the class ids.

        Raises ValueError for an unknown class, a score_threshold out of range, and prompts that do not fit.
        """
        source = ModelSource(family, weights, config, labels, device, precision, engine)
        self._engine = open_model(source)
        options = self._engine.prompted(self._engine.default_options, prompts)
        self.labels = result_labels(options, self._engine.labels)
        options = options.with_score_threshold(score_threshold)
        if classes is not None:
            options = replace(options, classes=self.labels.ids(classes))
        self.options = replace(options, panoptic=True)

    @property
    def precision(self) -> str:
        """The precision in use: exact, fp32, bf16 or fp16."""
        return self._engine.precision

    def __repr__(self) -> str:
        kinds = f"{len(self.labels.things)} classes of things, {len(self.labels.stuff)} of stuff"
        return f"Predictor({kinds}, on {self._engine.device_name}, {self._engine.precision})"

    def __call__(self, image: NDArray[np.uint8]) -> Prediction:
        """Segment an image: uint8 (H, W, 3), BGR as from cv2.imread. Raises ValueError for anything else."""
        form = (image.dtype, image.shape) if isinstance(image, np.ndarray) else type(image).__name__
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(f"expected a BGR image, uint8 of shape (H, W, 3), but got {form}")
        return Prediction(self._engine.segment(Frame(image, "bgr"), self.options), self.labels, image)
