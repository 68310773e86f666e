"""What `seg_node segment` does: frames through a model into a folder of COCO files and annotated pictures."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from seg_node.commands.result_folder import ResultFolder, make_folder, remove_old_results
from seg_node.export.dense_part import open_engine
from seg_node.inference.engine import choose_device
from seg_node.models.load import load_model
from seg_node.sources.left_out import LeftOut
from seg_node.sources.source import open_source
from seg_node.types import LabelSet, SegmentOptions

# Below it reference models report many objects at once, which hide each other in a picture.
READABLE_SCORE = 0.5
# the exit status that shells expect after Ctrl-C: 128 + SIGINT
INTERRUPTED = 130


def segment(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    family: str = "auto",
    weights: str | Path | None = None,
    config: str | Path | None = None,
    labels: str | Path | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str | Path | None = None,
    score_threshold: float | None = None,
    classes: Iterable[str] | None = None,
    topic: str | None = None,
) -> int:
    """Segments the inputs, writes the folder `out` (see `seg_node segment --help`) and prints a table.

    The model, precision and engine are those of `Predictor`.
    Returns the exit status: 130 after Ctrl-C, 1 when some input could not be read, else 0.
    Raises ValueError, FileNotFoundError or RuntimeError for what the user can mend.
    """
    left_out = LeftOut(lambda line: tqdm.write(line, file=sys.stderr))
    source = open_source(inputs, topic, left_out)
    if source.kind == "camera":
        raise ValueError(f"{inputs[0]}: a camera has no end to segment up to; record a video or use the node")
    if source.passed_over:
        print(f"passed over {source.passed_over}", file=sys.stderr)
    make_folder(out)
    model = load_model(family, weights, config, labels)
    options = _options(model.default_options, model.labels, score_threshold, classes)
    runner = open_engine(model, choose_device(device), precision, engine)
    draw_above = READABLE_SCORE if score_threshold is None else score_threshold
    unit = "image" if source.kind == "images" else "frame"
    remove_old_results(out, source.paths)
    results = ResultFolder(out, source, model.labels, draw_above)
    stopped = False
    try:
        for name, frame in tqdm(source.frames, total=source.count, unit=unit):
            results.add(name, frame, runner.segment(frame, options))
    except KeyboardInterrupt:
        stopped = True
    finally:  # what there is, is written after any error
        results.finish()
    of_how_many = f" of {source.count}" if source.count else ""
    device_name = f"{runner.device_name}, {runner.precision}"
    print(results.table(left_out, device_name, f"{of_how_many}, stopped by Ctrl-C" if stopped else ""))
    if stopped:
        return INTERRUPTED
    return 1 if left_out.count else 0


def _options(
    defaults: SegmentOptions, labels: LabelSet, score_threshold: float | None, classes: Iterable[str] | None
) -> SegmentOptions:
    """The model's own options with what the user set; a panoptic map only if the model knows stuff."""
    if score_threshold is not None and not 0 <= score_threshold <= 1:
        raise ValueError(f"score threshold {score_threshold:g} is out of range; give a number from 0 to 1")
    return dataclasses.replace(
        defaults,
        score_threshold=defaults.score_threshold if score_threshold is None else score_threshold,
        classes=defaults.classes if classes is None else labels.ids(classes),
        panoptic=bool(labels.stuff),
    )
