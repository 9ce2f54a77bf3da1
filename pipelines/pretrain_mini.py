"""Train decaf-mini, the net whose weights decaf carries, on Tiny-ImageNet.

Paper    : none; the shape is Krizhevsky et al.'s (NIPS 2012), the recipe today's: crops of random
           size, flips, label smoothing, SGD with momentum, cosine rate, growing pictures
Expected : top-1 of at least 0.33 over 200 classes on 25 held-out pictures a class
Data     : FOLDER/*.zip with train/<wnid>/<name>.JPEG, FOLDER/wnids.txt (Tiny-ImageNet-200)
Minutes  : about 60 on one core; a run that was stopped goes on after its last whole epoch

    python pipelines/pretrain_mini.py FOLDER [--out decaf-mini.safetensors] [--epochs 20] [--seed 0]
"""

import argparse
import hashlib
import json
import math
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from decaf.backbones.mini import PREPROCESSING, MiniNet
from decaf.images.decode import decode

HELD_OUT = 25  # pictures a class
BATCH = 128
PEAK_RATE, WARM_UP, MOMENTUM, DECAY, SMOOTHING, DROPOUT = 0.1, 0.15, 0.9, 5e-4, 0.1, 0.2
SIZES_PX = ((0.5, 40), (0.8, 48), (1.0, 64))  # up to which part of the run, with which side


@dataclass(frozen=True)
class Pictures:
    """``(n, 3, 64, 64)`` uint8 pixels and ``(n,)`` class numbers."""

    pixels: Tensor
    labels: Tensor

    def batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pictures in an order."""
        for rows in order.split(BATCH):
            yield self.pixels[rows], self.labels[rows]


def read(folder: Path, seed: int) -> tuple[Pictures, Pictures]:
    """Decode all pictures into memory, and hold some of each class out."""
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
        Pictures(torch.stack([x for _, x in side]), torch.tensor([y for y, _ in side]))
        for side in sides
    )
    return train, held_out


def normalize(pixels: Tensor) -> Tensor:
    """Return a net's input of uint8 pixels."""
    mean, std = (
        torch.tensor(v).view(3, 1, 1) * 255 for v in (PREPROCESSING.mean, PREPROCESSING.std)
    )
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def random_crops(pixels: Tensor, size_px: int) -> Tensor:
    """Cut a box of 0.35 to 1 of the area out of each picture, flip half of them, resize."""
    n = len(pixels)
    area, ratio = torch.empty(n).uniform_(0.35, 1), torch.empty(n).uniform_(-0.29, 0.29).exp()
    half = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)
    shift = torch.empty(n, 2).uniform_(-1, 1) * (1 - half)  # the picture spans -1 to 1
    theta = torch.cat([torch.diag_embed(half), shift.unsqueeze(2)], 2)
    theta[torch.rand(n) < 0.5, 0, 0] *= -1
    grid = nn.functional.affine_grid(theta, [n, 3, size_px, size_px], align_corners=False)
    x = normalize(pixels)
    return nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


@torch.inference_mode()
def accuracy(net: nn.Module, pictures: Pictures) -> tuple[float, float]:
    """Return top-1 and top-5 accuracy."""
    net.eval()
    hits = torch.zeros(5)
    for pixels, labels in pictures.batches(torch.arange(len(pictures.labels))):
        hits += (net(normalize(pixels)).topk(5).indices == labels.unsqueeze(1)).sum(0)
    return hits[0].item() / len(pictures.labels), hits.sum().item() / len(pictures.labels)


def rate(part: float) -> float:
    """Return the learning rate at a part of the run: up to the peak, then along a cosine to 0."""
    if part < WARM_UP:
        return PEAK_RATE * part / WARM_UP
    return PEAK_RATE * (1 + math.cos(math.pi * (part - WARM_UP) / (1 - WARM_UP))) / 2


def train(
    net: MiniNet, data: Pictures, held_out: Pictures, *, epochs: int, seed: int, path: Path
) -> None:
    """Train a net; `path` keeps what a stopped run needs to go on."""
    net.to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(net.parameters(), PEAK_RATE, MOMENTUM, weight_decay=DECAY, nesterov=True)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    n_batches = -(-len(data.labels) // BATCH)
    for epoch in range(restore(path, net, sgd), epochs):
        torch.manual_seed(seed * 1000 + epoch)  # so that a resumed run is the run
        start, total = perf_counter(), 0.0
        size_px = next(size for part, size in SIZES_PX if epoch < part * epochs)
        net.train()
        order = torch.randperm(len(data.labels))
        for number, (pixels, labels) in enumerate(data.batches(order)):
            sgd.param_groups[0]["lr"] = rate((epoch + number / n_batches) / epochs)
            sgd.zero_grad()
            loss = loss_of(net(random_crops(pixels, size_px)), labels)
            loss.backward()
            sgd.step()
            total += loss.item() * len(labels)
        keep(path, net, sgd, epoch + 1)
        top1, top5 = accuracy(net, held_out)
        row = {"epoch": epoch + 1, "size_px": size_px, "loss": total / len(order)}
        row |= {"top1": top1, "top5": top5, "seconds": perf_counter() - start}
        print(json.dumps({key: round(value, 4) for key, value in row.items()}), flush=True)


def keep(path: Path, net: nn.Module, sgd: torch.optim.SGD, epoch: int) -> None:
    """Write net, momentum and the number of epochs done; the old file stands until it is whole."""
    state = {f"net.{key}": value.contiguous() for key, value in net.state_dict().items()}
    for key, value in net.named_parameters():
        state[f"momentum.{key}"] = sgd.state[value]["momentum_buffer"].contiguous()
    save_file(state, path.with_suffix(".new"), {"epoch": str(epoch)})
    path.with_suffix(".new").replace(path)


def restore(path: Path, net: nn.Module, sgd: torch.optim.SGD) -> int:
    """Read what `keep` wrote, and return the number of epochs done."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        epoch = int(file.metadata()["epoch"])
    net.load_state_dict({key: state[f"net.{key}"] for key in net.state_dict()})
    for key, value in net.named_parameters():
        momentum = state[f"momentum.{key}"]
        sgd.state[value]["momentum_buffer"] = torch.empty_like(value).copy_(momentum)
    return epoch


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
    print(f"{len(data.labels)} pictures to train, {len(held_out.labels)} held out", flush=True)
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
