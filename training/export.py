"""A checkpoint of train.py → the weights file of the package: `python export.py --run DIR --out FILE`.

Names are torchvision's, numbers float16, batch norms folded into the convolutions. The metadata key `config`
holds a JSON object with the class names and other keys of seg_node/models/rcnn_config.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from network import CLASSES, SETTINGS, build_network, fold_batch_norms

from seg_node.models.efficientnet_lite import BATCH_NORM_EPS


def export(run: Path, out: Path) -> None:
    saved = torch.load(run / "last.pt", weights_only=True)
    tensors = fold_batch_norms(saved["mean"], BATCH_NORM_EPS)
    build_network(norm=False).load_state_dict(tensors)  # names and shapes are what is promised
    small = {name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}
    content = {
        "model": "maskrcnn_efficientnet_lite0",
        "class_names": CLASSES,
        **SETTINGS,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(small, out, metadata={"config": json.dumps(content)})
    print(f"{out}: step {saved['step']}, {out.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    export(args.run, args.out)


if __name__ == "__main__":
    main()
