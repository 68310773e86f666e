"""Train the embedded model until a point in time: `python train.py --minutes 60 --out DIR --renders DIR`.

The learning rate falls over the wall clock, so that the run ends well whatever the machine's speed.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parents[1]))

from network import build_network, freeze, load_imagenet
from pictures import Sampler, read_pictures


def learning_rate(done: float, step: int, peak: float) -> float:
    """Linear warm-up over 100 steps, then a half cosine; done: the part of the time that is over."""
    return peak * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)) + 0.005)


def make_optimizer(model: nn.Module, peak: float, decay: float) -> torch.optim.Optimizer:
    body = [p for n, p in model.named_parameters() if "backbone.body" in n and p.requires_grad]
    rest = [p for n, p in model.named_parameters() if "backbone.body" not in n]
    groups = [{"params": body, "share": 0.3}, {"params": rest, "share": 1.0}]
    return torch.optim.AdamW(groups, lr=peak, weight_decay=decay)


def update_mean(mean: dict[str, Tensor], model: nn.Module, step: int) -> None:
    """Exponential mean of the weights, over about the last 200 steps."""
    decay = min(0.995, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            mean[name].lerp_(value, 1 - decay)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    model = build_network(resize=False)
    load_imagenet(model.backbone.body)
    freeze(model.backbone.body)
    model.to(memory_format=torch.channels_last)  # faster on the CPU
    optimizer = make_optimizer(model, args.lr, args.weight_decay)
    mean = {name: value.clone() for name, value in model.state_dict().items()}
    step, spent = 0, 0.0
    if (out / "last.pt").is_file():
        saved = torch.load(out / "last.pt", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        mean, step, spent = saved["mean"], saved["step"], saved["spent"]
    model.train()
    model.backbone.body.eval()  # batch norms keep ImageNet's statistics

    pictures = read_pictures(Path(args.renders), Path(args.photographs))
    sampler = Sampler(pictures, args.short_side, args.long_side, args.seed + step)
    stream = iter(DataLoader(sampler, batch_size=None, num_workers=1, prefetch_factor=8))
    print(f"{len(pictures)} pictures, from step {step}", flush=True)
    started = time.monotonic() - spent
    saved_at = time.monotonic()
    with (out / "log.csv").open("a", newline="") as file:
        log = csv.writer(file)
        while (spent := time.monotonic() - started) < args.minutes * 60:
            rate = learning_rate(spent / (args.minutes * 60), step, args.lr)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            losses = one_step(model, optimizer, stream, args.batch)
            step += 1
            update_mean(mean, model, step)
            if step % 10 == 0:
                log.writerow([step, f"{spent:.0f}", f"{rate:.2e}", *(f"{v:.4f}" for v in losses.values())])
                file.flush()
            if time.monotonic() - saved_at > 240:
                save(out, model, optimizer, mean, step, spent)
                saved_at = time.monotonic()
    save(out, model, optimizer, mean, step, spent)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, stream, batch: int) -> dict[str, float]:
    """Gradients of `batch` pictures, one after the other, then one update. Returns the mean losses."""
    sums: dict[str, float] = {}
    optimizer.zero_grad(set_to_none=True)
    for _ in range(batch):
        image, target, allowed = next(stream)
        model.roi_heads.box_predictor.allowed = allowed
        losses = model([image], [target])
        (sum(losses.values()) / batch).backward()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / batch
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimizer.step()
    return sums


def save(
    out: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: dict[str, Tensor],
    step: int,
    spent: float,
) -> None:
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "mean": mean}
    torch.save({**content, "step": step, "spent": spent}, out / "last.tmp")
    (out / "last.tmp").replace(out / "last.pt")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renders", required=True, help="folder that render_tabletop.py has filled")
    parser.add_argument("--photographs", required=True, help="folder with coco_train and real_extra")
    parser.add_argument("--out", required=True, help="checkpoint last.pt (taken up again) and log.csv")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--short-side", type=int, default=288)
    parser.add_argument("--long-side", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
