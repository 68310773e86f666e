# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's own part of /diagnostics: the model, what is wrong, and the status beside its frames."""

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus

from seg_node.inference.engine import Engine
from seg_node.ros.node.diagnostics import key_values
from seg_node.ros.node.faults import CallbackFaults
from seg_node.ros.node.frame_path import FramePath
from seg_node.ros.node.options import Options
from seg_node.ros.node.segment_service import SegmentService
from seg_node.ros.node.worker import Worker
from seg_node.untrusted.printable import listed

NO_CLOCK = (
    "use_sim_time is set but no /clock has come: ages are unknown and the node's own stamps are 0; play the "
    "bag with --clock, start the simulation, or set use_sim_time to false"
)


def model_setup(options: Options, engine: Engine | None) -> dict[str, str]:
    """Describe what runs: device, model, precision (and whether it was chosen automatically), engine."""
    precision = engine.precision if engine else "none"
    return {
        "device": engine.device_name if engine else "none",
        "model": options.model_weights or "embedded model",
        "precision": f"{precision} (auto)" if options.precision == "auto" else precision,
        "engine": options.engine or "none",
    }


def loaded_line(options: Options, engine: Engine) -> str:
    """Describe a loaded model in the line that is logged at configuring."""
    setup = model_setup(options, engine)
    return (
        f"{setup['model']} on {setup['device']}, precision {setup['precision']}"
        f"{f', engine {options.engine}' if options.engine else ''}, "
        f"{_classes(options, engine)}"
    )


def _classes(options: Options, engine: Engine) -> str:
    if engine.default_options.prompts is not None:
        return f"prompts: {listed(options.given_prompts())}"
    return f"things: {listed(engine.labels.things.values())}, stuff: {listed(engine.labels.stuff.values())}"


def find_problem(
    options: Options, worker: Worker | None, path: FramePath | None, faults: CallbackFaults
) -> str | None:
    """Return what keeps the node from serving frames, with the cure; None when nothing does."""
    if faults.device_lost is not None:
        return str(faults.device_lost)
    busy_s = worker.busy_s() if worker is not None else 0.0
    if path is None and busy_s:
        return f"not configured: the model has been loading for {busy_s:.0f} s"
    if worker is None or path is None:
        return "not configured: no model is loaded"
    if not worker.alive:
        return "the worker thread has died: clean up and configure the node, or restart it"
    if path.publisher is not None and (problem := path.publisher.problem(options.stall_timeout)):
        return problem  # the worker may be waiting for it
    if busy_s > options.stall_timeout:
        return (
            f"stalled: the work in hand has taken {busy_s:.1f} s, more than stall_timeout; is the model "
            "stuck, or slow?"
        )
    return None


def stall_timeout_s(options: Options) -> float:
    """Return how long frames may wait; with a low max_rate they wait by design."""
    return max(options.stall_timeout, 2 / options.max_rate if options.max_rate > 0 else 0.0)


def node_status(
    node_name: str,
    device: str,
    problem: str | None,
    faults: CallbackFaults,
    services: Sequence[SegmentService],
    worker: Worker | None,
    has_time: bool,
) -> DiagnosticStatus:
    """Report callbacks that failed, the services' requests by outcome, and the time of the work in hand."""
    counts = {
        "callback_failed": 0,
        "transition_failed": 0,
        **faults.counts,
        **{
            f"{service.name.removeprefix('~/')}.{outcome}": count
            for service in services
            for outcome, count in sorted(service.counts().items())
        },
    }
    level, text = DiagnosticStatus.OK, "running"
    dead = next((service.name for service in services if not service.alive), None)
    if problem or dead:
        level, text = DiagnosticStatus.ERROR, problem or f"the thread that receives {dead} has died"
    elif counts["callback_failed"]:
        level, text = DiagnosticStatus.WARN, f"{counts['callback_failed']} callbacks failed; see the log"
    elif not has_time:
        level, text = DiagnosticStatus.WARN, NO_CLOCK
    return DiagnosticStatus(
        level=level,
        name=f"{node_name}: node",
        message=text,
        hardware_id=device,
        values=key_values({**counts, "work_in_hand_s": f"{worker.busy_s() if worker else 0.0:.1f}"}),
    )
