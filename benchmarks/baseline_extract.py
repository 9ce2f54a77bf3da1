"""The peer of bench_extract.py: what a careful user writes with torchvision today.

`create_feature_extractor`, a `DataLoader` with worker processes, the weights' own transform,
and one HDF5 file that is filled batch by batch. Prints one JSON object.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import h5py
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.models import get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor

NODES = {
    "alexnet": {"avgpool": "pool5", "classifier.2": "fc6", "classifier.5": "fc7"},
    "resnet50": {"flatten": "pool5"},
}


class Images(Dataset):
    def __init__(self, paths, transform):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="alexnet", choices=NODES)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    paths = sorted(arguments.images.glob("*/*.jpg"))
    step = len(paths) / (arguments.limit or len(paths))
    paths = [paths[int(i * step)] for i in range(int(len(paths) / step))]
    torch.manual_seed(0)
    net = get_model(arguments.backbone, weights=None).eval()
    transform = get_model_weights(arguments.backbone).IMAGENET1K_V1.transforms()
    nodes = NODES[arguments.backbone]
    extractor = create_feature_extractor(net, return_nodes=nodes).to(arguments.device)
    loader = DataLoader(
        Images(paths, transform),
        batch_size=arguments.batch_size,
        num_workers=arguments.workers,
        pin_memory=arguments.device != "cpu",
    )
    start = perf_counter()
    with h5py.File(arguments.out, "w") as file, torch.inference_mode():
        done = 0
        for batch in loader:
            for layer, output in extractor(batch.to(arguments.device)).items():
                rows = output.flatten(1).cpu().numpy()
                if layer not in file:
                    file.create_dataset(layer, (len(paths), rows.shape[1]), dtype="float32")
                file[layer][done : done + len(rows)] = rows
            done += len(batch)
    seconds = perf_counter() - start
    print(json.dumps({"images_per_s": len(paths) / seconds, "torch": torchvision.__version__}))


if __name__ == "__main__":
    main()
