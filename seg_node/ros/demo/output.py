# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's output folder: annotated.mp4, contact_sheet.png, results.json, and the table on the terminal."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from seg_node.ros.demo.accuracy import Truth, accuracy
from seg_node.ros.demo.pictures import Picture, contact_sheet, spread, write_video
from seg_node.ros.demo.recorder import FrameRecord, Recorder
from seg_node.ros.demo.report import SentImage, run_facts, summarise, table, write_results

SHEET_PICTURES = 12
# Frame rates of the video; the container supports no less than 0.1.
SLOWEST_FPS, FASTEST_FPS = 1.0, 60.0


def write_output(
    out: Path,
    pictures_folder: Path,
    source: str,
    arguments: Sequence[str],
    recorder: Recorder,
    sent: Sequence[SentImage],
    truth: Truth | None,
) -> None:
    """Write all files and print the table. Raises RuntimeError when no result was received."""
    frames = [record for _, record in sorted(recorder.frames.items()) if record.age_ms is not None]
    counts = recorder.counts
    if counts is None or not frames:
        received = counts.received if counts else 0
        raise RuntimeError(
            f"no results: {len(sent)} images were published and {received} received; see {out / 'node.log'}"
        )
    pictures = _pictures(pictures_folder, recorder.frames, sent)
    measured = accuracy(truth, frames, sent) if truth else None
    summary = summarise(len(sent), counts, frames, len(pictures), measured)
    write_results(out / "results.json", run_facts(source, arguments, counts), summary, frames, sent)
    written = ["results.json", "node.log"]
    if pictures:
        share = f"{counts.processed} of {counts.received}"
        title = f"{Path(source).name}: {share} frames, {counts.model} on {counts.device}"
        chosen = [pictures[index] for index in spread(len(pictures), SHEET_PICTURES)]
        _, sheet = cv2.imencode(".png", contact_sheet(chosen, title))
        sheet.tofile(out / "contact_sheet.png")
        write_video(out / "annotated.mp4", pictures, _frame_rate(sent))
        written = ["annotated.mp4", "contact_sheet.png", *written]
    print(table(summary))
    print(f"{'files':<10}{', '.join(str(out / name) for name in written)}")


def _pictures(folder: Path, frames: dict[int, FrameRecord], sent: Sequence[SentImage]) -> list[Picture]:
    """The annotated frames in the order of their stamps, each with its caption."""
    index_of = {image.stamp_ns: image.index for image in sent}
    stamps = sorted(int(path.stem) for path in folder.glob("*.jpg"))
    pictures = []
    for stamp in stamps:
        record = frames.get(stamp, FrameRecord(stamp))
        count = len(record.instances)
        parts = [
            f"{(stamp - sent[0].stamp_ns) / 1e9:.2f} s",
            f"image {index_of.get(stamp, '?')}",
            f"{count} object{'' if count == 1 else 's'}",
            f"results after {record.age_ms:.0f} ms" if record.age_ms is not None else "",
        ]
        pictures.append(Picture(folder / f"{stamp}.jpg", stamp, "   ".join(filter(None, parts))))
    return pictures


def _frame_rate(sent: Sequence[SentImage]) -> float:
    """Frames a second of the stream, limited to the range of the video."""
    seconds = (sent[-1].stamp_ns - sent[0].stamp_ns) / 1e9
    rate = (len(sent) - 1) / seconds if seconds > 0 else SLOWEST_FPS
    return min(max(rate, SLOWEST_FPS), FASTEST_FPS)
