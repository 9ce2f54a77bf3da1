"""A peer of bench_extract.py: thingsvision, by the interpreter of an environment that has it.

Features of one layer at a time, as it makes them, into its own files. Prints one JSON object.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from parts import cpu_seconds
from thingsvision import get_extractor
from thingsvision.utils.data import DataLoader, ImageDataset

MODULES = {
    "alexnet": ["avgpool", "classifier.2", "classifier.5"],
    "vgg16": ["avgpool", "classifier.1", "classifier.4"],
    "vit_b_16": ["encoder.ln"],
    **{key: ["features"] for key in ("squeezenet1_1", "mobilenet_v2")},
    **{key: ["avgpool"] for key in ("resnet50", "efficientnet_b0")},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--backbone", default="alexnet", choices=MODULES)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    paths = sorted(arguments.images.glob("*/*.jpg"))
    step = len(paths) / (arguments.limit or len(paths))
    paths = [paths[int(i * step)] for i in range(int(len(paths) / step))]
    extractor = get_extractor(
        model_name=arguments.backbone, source="torchvision", device="cpu", pretrained=False
    )
    with TemporaryDirectory() as name:
        for number, path in enumerate(paths):
            link = Path(name, "images", f"{number:06d}.jpg")
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path.resolve())
        start, cpu_start = perf_counter(), cpu_seconds()
        data = ImageDataset(
            root=str(link.parent), out_path=name, backend=extractor.get_backend(),
            transforms=extractor.get_transformations(),
        )  # fmt: skip
        batches = DataLoader(dataset=data, batch_size=64, backend=extractor.get_backend())
        extractor.extract_features(
            batches=batches, module_names=MODULES[arguments.backbone], flatten_acts=True,
            output_type="ndarray", output_dir=name,
        )  # fmt: skip
        seconds, cpu = perf_counter() - start, cpu_seconds() - cpu_start
    said = {"images_per_s": len(paths) / seconds, "cpu_ms": 1000 * cpu / len(paths)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
