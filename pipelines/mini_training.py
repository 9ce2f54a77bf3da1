"""What pretrain_mini.py and ablate_depth.py share: the recipe for decaf-mini and its kin."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from decaf.backbones.mini import PREPROCESSING, MiniNet

BATCH = 128
PEAK_RATE, WARM_UP, MOMENTUM, DECAY, SMOOTHING, DROPOUT = 0.1, 0.15, 0.9, 5e-4, 0.1, 0.2
SIZES_PX = ((0.5, 40), (0.8, 48), (1.0, 64))  # up to which part of the run, with which side


@dataclass(frozen=True)
class Images:
    """``(n, 3, 64, 64)`` uint8 pixels and ``(n,)`` class numbers."""

    pixels: Tensor
    labels: Tensor

    def batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images in an order."""
        for rows in order.split(BATCH):
            yield self.pixels[rows], self.labels[rows]


def normalize(pixels: Tensor) -> Tensor:
    """Return a net's input of uint8 pixels."""
    mean, std = (
        torch.tensor(v).view(3, 1, 1) * 255 for v in (PREPROCESSING.mean, PREPROCESSING.std)
    )
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def random_crops(pixels: Tensor, size_px: int) -> Tensor:
    """Cut a box of 0.35 to 1 of the area out of each image, flip half of them, resize."""
    n = len(pixels)
    area, ratio = torch.empty(n).uniform_(0.35, 1), torch.empty(n).uniform_(-0.29, 0.29).exp()
    half = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)
    shift = torch.empty(n, 2).uniform_(-1, 1) * (1 - half)  # the image spans -1 to 1
    theta = torch.cat([torch.diag_embed(half), shift.unsqueeze(2)], 2)
    theta[torch.rand(n) < 0.5, 0, 0] *= -1
    grid = nn.functional.affine_grid(theta, [n, 3, size_px, size_px], align_corners=False)
    x = normalize(pixels)
    return nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


@torch.inference_mode()
def accuracy(net: nn.Module, images: Images) -> tuple[float, float]:
    """Return top-1 and top-5 accuracy."""
    net.eval()
    hits = torch.zeros(5)
    for pixels, labels in images.batches(torch.arange(len(images.labels))):
        hits += (net(normalize(pixels)).topk(5).indices == labels.unsqueeze(1)).sum(0)
    return hits[0].item() / len(images.labels), hits.sum().item() / len(images.labels)


def rate(part: float) -> float:
    """Return the learning rate at a part of the run: up to the peak, then along a cosine to 0."""
    if part < WARM_UP:
        return PEAK_RATE * part / WARM_UP
    return PEAK_RATE * (1 + math.cos(math.pi * (part - WARM_UP) / (1 - WARM_UP))) / 2


def train(
    net: MiniNet, data: Images, held_out: Images, *, epochs: int, seed: int, path: Path
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
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        epoch = int(file.metadata()["epoch"])
    net.load_state_dict({key: state[f"net.{key}"] for key in net.state_dict()})
    for key, value in net.named_parameters():
        momentum = state[f"momentum.{key}"]
        sgd.state[value]["momentum_buffer"] = torch.empty_like(value).copy_(momentum)
    return epoch
