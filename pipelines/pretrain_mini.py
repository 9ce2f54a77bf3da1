"""Train decaf-mini, the net whose weights decaf carries, on Tiny-ImageNet.

Paper    : none; the shape is Krizhevsky et al.'s (NIPS 2012), the recipe today's: crops of random
           size, flips, label smoothing, SGD with momentum, cosine rate, growing images
Expected : top-1 of at least 0.33 over 200 classes on 25 held-out images a class
Data     : FOLDER/*.zip with train/<wnid>/<name>.JPEG, FOLDER/wnids.txt (Tiny-ImageNet-200)
Minutes  : about 60 on one core; a run that was stopped goes on after its last whole epoch

    python pipelines/pretrain_mini.py FOLDER [--out decaf-mini.safetensors] [--epochs 20] [--seed 0]
"""

import argparse
import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from mini_training import DROPOUT, Images, accuracy, train
from safetensors.torch import save_file
from torch import Tensor, nn

from decaf.backbones.mini import MiniNet
from decaf.images.decode import decode

HELD_OUT = 25  # images a class


def read(folder: Path, seed: int) -> tuple[Images, Images]:
    """Decode all images into memory, and hold some of each class out."""
    lines = (folder / "wnids.txt").read_text().splitlines()
    classes = {line.split()[0]: number for number, line in enumerate(lines)}
    by_class: dict[int, list[tuple[str, Tensor]]] = defaultdict(list)
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".JPEG"):
                    image = decode(archive.read(name))
                    by_class[classes[name.split("/")[1]]].append((name, image))
    sides: tuple[list[tuple[int, Tensor]], ...] = ([], [])
    random = torch.Generator().manual_seed(seed)
    for label in sorted(by_class):
        images = [image for _, image in sorted(by_class[label], key=lambda item: item[0])]
        for place, number in enumerate(torch.randperm(len(images), generator=random).tolist()):
            sides[place < HELD_OUT].append((label, images[number]))
    train, held_out = (
        Images(torch.stack([x for _, x in side]), torch.tensor([y for y, _ in side]))
        for side in sides
    )
    return train, held_out


def export(net: nn.Module, path: Path) -> None:
    """Write the weights in float16; statistics of batch normalisation stay in float32."""
    state = {
        key: value.half().contiguous() if value.ndim > 1 else value
        for key, value in net.state_dict().items()
    }
    save_file(state, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the weights that decaf carries."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("decaf-mini.safetensors"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    data, held_out = read(options.folder, options.seed)
    print(f"{len(data.labels)} images to train, {len(held_out.labels)} held out", flush=True)
    torch.manual_seed(options.seed)
    net = MiniNet(dropout=DROPOUT)
    path = options.out.with_suffix(".training")
    train(net, data, held_out, epochs=options.epochs, seed=options.seed, path=path)
    export(net, options.out)
    top1, top5 = accuracy(net, held_out)
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"top-1 {top1:.4f}, top-5 {top5:.4f}; {options.out}, sha256 {digest}")


if __name__ == "__main__":
    main()
