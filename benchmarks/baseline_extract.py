"""The peers of bench_extract.py: what a careful user writes with torchvision today.

`create_feature_extractor`, a `DataLoader` with worker processes, the weights' own transform,
and one HDF5 file that is filled batch by batch; with `--runtime onnx` the same, but that the
extractor is exported once and run by ONNX Runtime. Prints one JSON object. With `--probe` it says
instead which memory format and number of workers are fastest, each tried for so many seconds.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import h5py
import torch
from parts import cpu_seconds
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor

NODES = {
    "alexnet": {"avgpool": "pool5", "classifier.2": "fc6", "classifier.5": "fc7"},
    "vgg16": {"avgpool": "pool5", "classifier.1": "fc6", "classifier.4": "fc7"},
    "squeezenet1_1": {"features": "pool5"},
    "vit_b_16": {"getitem_5": "pool5"},
    **{key: {"flatten": "pool5"} for key in ("resnet50", "mobilenet_v2", "efficientnet_b0")},
}
AVERAGED = ("squeezenet1_1",)


class Images(Dataset):
    def __init__(self, paths, transform):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


class Rows(nn.Module):
    """Named layers as one vector an image."""

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        net = get_model(name, weights=None).eval()
        self.layers = create_feature_extractor(net, return_nodes=NODES[name])
        self.averaged = name in AVERAGED

    def forward(self, batch):
        outputs = self.layers(batch)
        if self.averaged:
            outputs = {layer: output.mean((2, 3)) for layer, output in outputs.items()}
        return {layer: output.flatten(1) for layer, output in outputs.items()}


def by_torch(rows, arguments):
    """Return a function from a batch to arrays by layer."""
    kind = torch.channels_last if arguments.channels_last else torch.contiguous_format
    rows = rows.to(arguments.device, memory_format=kind)

    def run(batch):
        outputs = rows(batch.to(arguments.device, memory_format=kind, non_blocking=True))
        return {layer: output.cpu().numpy() for layer, output in outputs.items()}

    return run


def by_onnx(rows, arguments):
    """Return the same by ONNX Runtime."""
    import onnxruntime  # noqa: PLC0415 - one of the peers

    with TemporaryDirectory() as folder:
        path = arguments.graph or Path(folder, "net.onnx")
        if not path.exists():
            export(rows, arguments.backbone, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    layers = [output.name for output in session.get_outputs()]
    return lambda batch: dict(zip(layers, session.run(None, {"batch": batch.numpy()}), strict=True))


def export(rows, name, path):
    torch.onnx.export(
        rows, (torch.zeros(2, 3, 224, 224),), path, dynamo=True, verbose=False,
        input_names=["batch"], output_names=list(NODES[name].values()),
        dynamic_shapes={"batch": {0: torch.export.Dim("n")}},
    )  # fmt: skip


def extract(run, images, arguments, seconds=float("inf")):
    """Fill the file, or some of it in so many seconds; return images a second, CPU ms an image."""
    loader = DataLoader(
        images,
        batch_size=arguments.batch_size,
        num_workers=arguments.workers,
        pin_memory=arguments.device != "cpu",
    )
    start, cpu_start = perf_counter(), cpu_seconds()
    with h5py.File(arguments.out, "w") as file, torch.inference_mode():
        done = 0
        for batch in loader:
            for layer, output in run(batch).items():
                if layer not in file:
                    file.create_dataset(layer, (len(images), output.shape[1]), dtype="float32")
                file[layer][done : done + len(output)] = output
            done += len(batch)
            if perf_counter() - start > seconds:
                break
    rate = done / (perf_counter() - start)
    return rate, 1000 * (cpu_seconds() - cpu_start) / done


def probe(rows, images, arguments):
    """Return the fastest options and their rate; small batches, so that some are done in time."""
    arguments.batch_size = 16
    trials = {}

    def attempt(n_workers, run, *options):
        arguments.workers = n_workers
        rate, _ = extract(run, images, arguments, arguments.probe)
        trials[(*options, "--workers", str(n_workers))] = rate
        return rate

    if arguments.runtime == "onnx":
        run = by_onnx(rows, arguments)
        for n_workers in (0, 1, 2):
            attempt(n_workers, run)
    else:
        rates = {}
        for option in ((), ("--channels-last",)):
            arguments.channels_last = bool(option)
            rates[option] = attempt(2, by_torch(rows, arguments), *option)
        best = max(rates, key=rates.get)
        arguments.channels_last = bool(best)
        for n_workers in (0, 1):
            attempt(n_workers, by_torch(rows, arguments), *best)
    return {"options": max(trials, key=trials.get)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="alexnet", choices=NODES)
    parser.add_argument("--runtime", default="torch", choices=("torch", "onnx"))
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--graph", type=Path, help="the exported net; made if missing")
    parser.add_argument("--probe", type=float, metavar="SECONDS")
    arguments = parser.parse_args()
    paths = sorted(arguments.images.glob("*/*.jpg"))
    step = len(paths) / (arguments.limit or len(paths))
    paths = [paths[int(i * step)] for i in range(int(len(paths) / step))]
    transform = get_model_weights(arguments.backbone).IMAGENET1K_V1.transforms()
    rows = Rows(arguments.backbone)
    images = Images(paths, transform)
    if arguments.probe:
        print(json.dumps(probe(rows, images, arguments)))
        return
    run = (by_onnx if arguments.runtime == "onnx" else by_torch)(rows, arguments)
    rate, cpu_ms = extract(run, images, arguments)
    print(json.dumps({"images_per_s": rate, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    main()
