"""Class names of the data sets that published checkpoints were trained on."""

import logging
from collections.abc import Sequence

from seg_node.types import LabelSet

logger = logging.getLogger(__name__)

# COCO's category ids run to 90 with ten left out; torchvision's checkpoints keep them, 0 is the background.
_COCO_IDS_LEFT_OUT = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
_COCO_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
_COCO_IDS = tuple(i for i in range(1, 91) if i not in _COCO_IDS_LEFT_OUT)

COCO_THINGS = LabelSet(things=dict(zip(_COCO_IDS, _COCO_NAMES, strict=True)))


def labels_for(num_classes: int, names: Sequence[str] = ()) -> LabelSet:
    """The classes 1, 2, … of a checkpoint by the given names.

    Without names COCO's, if there are 91 classes, else numbers (with a warning).
    num_classes: with the background, class 0.
    Raises ValueError when the names are not as many as the classes.
    """
    if names and len(names) != num_classes - 1:
        raise ValueError(f"{len(names)} class names for {num_classes - 1} classes")
    if names:
        return LabelSet(things=dict(enumerate(names, start=1)))
    if num_classes == 91:
        return COCO_THINGS
    logger.warning(
        "the checkpoint has %d classes and no names: they are called 1 … %d", num_classes - 1, num_classes - 1
    )
    return LabelSet(things={class_id: str(class_id) for class_id in range(1, num_classes)})
