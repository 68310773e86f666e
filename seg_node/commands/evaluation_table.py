# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The report of `seg_node evaluate` as text for the terminal."""

from collections.abc import Collection, Mapping
from typing import Any

from seg_node.evaluation.coco_fields import one_line
from seg_node.untrusted.printable import listed

# Column titles of the table of classes, and their keys in the report.
_COLUMNS = {
    "objects": "objects",
    "mask AP": "mask_ap",
    "mask AP50": "mask_ap50",
    "box AP": "box_ap",
    "box AP50": "box_ap50",
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
}


def evaluation_table(report: Mapping[str, Any], own_threshold: bool) -> str:
    """Format a report: the content of evaluation.json. own_threshold: the model's own threshold was used."""
    left_out = report["images_left_out"]
    missed = f"  (left out {_counted(left_out)})" if left_out else ""
    medians = "  ".join(f"{stage} {ms:.1f}" for stage, ms in report["median_ms"].items())
    whose = "its reference's own" if own_threshold else "as given"
    hint = "; AP is higher the lower it is" if "mask_ap" in report else ""
    rows = [
        ("images", f"{report['images']}{missed}"),
        ("median ms", f"{medians}  on {report['device']}"),
        ("score threshold", f"{report['score_threshold']:g}, {whose}{hint}"),
    ]
    for kind, classes in report["classes"].items():
        rows.append((f"{kind}: classes scored", _counted(classes["scored"])))
        if classes["not_known_to_model"]:
            rows.append(("  not known to the model", _counted(classes["not_known_to_model"])))
        if classes["not_in_ground_truth"]:
            rows.append(("  not in the ground truth", _counted(classes["not_in_ground_truth"])))
    for kind in ("mask", "box"):
        if f"{kind}_ap" in report:
            ap, ap50 = _number(report[f"{kind}_ap"]), _number(report[f"{kind}_ap50"])
            rows.append((f"{kind} AP", f"{ap}   AP50 {ap50}"))
    for key in ("pq", "sq", "rq"):
        if key in report:
            groups = "   ".join(f"{group} {_number(value)}" for group, value in report[key].items())
            rows.append((key.upper(), groups))
    width = max(len(title) for title, _ in rows)
    summary = "\n".join(f"{title:<{width}}  {text}" for title, text in rows)
    return f"{_class_table(report['per_class'])}\n\n{summary}"


def _class_table(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """Format one line for each class that has something to score."""
    columns = {
        title: key for title, key in _COLUMNS.items() if any(key in entry for entry in per_class.values())
    }
    shown = {
        name: [entry.get(key) for key in columns.values()]
        for name, entry in per_class.items()
        if entry.get("mask_ap") is not None or entry.get("pq") is not None
    }
    width = max(len(name) for name in ["class", *map(one_line, shown)])
    lines = ["  ".join([f"{'class':<{width}}", *(f"{title:>5}" for title in columns)])]
    for name, values in shown.items():
        numbers = (
            f"{_number(value):>{max(5, len(title))}}" for title, value in zip(columns, values, strict=True)
        )
        lines.append("  ".join([f"{one_line(name):<{width}}", *numbers]))
    if len(shown) < len(per_class):
        lines.append(
            f"(nothing to score in these images for {_counted([n for n in per_class if n not in shown])})"
        )
    return "\n".join(lines)


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _counted(names: Collection[str]) -> str:
    """Return the number of the names and the first of them."""
    return f"{len(names)}: {listed(names, 8)}"
