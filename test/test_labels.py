"""Class names of published checkpoints and of those that bring their own or none."""

import pytest
from torchvision.models._meta import _COCO_CATEGORIES

from seg_node.labels import labels_for


def test_coco_names_are_torchvisions() -> None:
    expected = {i: name for i, name in enumerate(_COCO_CATEGORIES) if name not in ("__background__", "N/A")}
    assert labels_for(91).things == expected


def test_own_names_are_used_and_counted() -> None:
    assert labels_for(3, ["mug", "bowl"]).things == {1: "mug", 2: "bowl"}
    with pytest.raises(ValueError, match="2 class names for 90 classes"):
        labels_for(91, ["mug", "bowl"])


def test_classes_without_names_are_numbered_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert labels_for(3).things == {1: "1", 2: "2"}
    assert "2 classes and no names" in caplog.text
