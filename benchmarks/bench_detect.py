"""What detection finds, and what it costs: planted objects, rooms in halves, both routes, memory.

    python benchmarks/bench_detect.py ASSETS WORK [--skip planted rooms cost memory]

Proposals and features are kept in WORK, so a run that was stopped goes on. ``planted``: 300
collages (see collages.py), trained on the even and tested on the odd ones. ``rooms``: five random
halves of the photographs, with pretrained and with random weights, and chance. ``cost``: seconds
an image at 2 000 proposals, and multiply-adds that are done, of which Winograd's are fewer than the
model's. ``memory``: the peak of a search for negatives.
"""

import argparse
import resource
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from time import perf_counter, process_time

import numpy as np
import torch
from collages import write_collages
from parts import Figures, add_skip, run_parts
from torch.utils.flop_counter import FlopCounterMode

from decaf.backbones import load_backbone
from decaf.choices import Route
from decaf.detection import (
    BoxedImages,
    Detections,
    StoredRegions,
    find_in_store,
    fit_detector,
    load_boxed,
    matched_classes,
    region_plan,
    region_table,
)
from decaf.detection_records import Detection
from decaf.engines.region_pass import RoiForward, load_regions
from decaf.extraction import extract_plan
from decaf.metrics import summary
from decaf.names import Names
from decaf.records import Compute, Net, Source
from decaf.regions.hard_negatives import mine
from decaf.regions.proposals import proposal_recall
from decaf.store import FeatureStore

ROUTES: tuple[Route, ...] = ("roi", "crop")
ROOMS = ("chair", "diningtable", "sofa", "tvmonitor", "pottedplant", "bottle")
LAYER = "pool5"


@dataclass(frozen=True)
class Bench:
    """Where things are, and how many proposals an image has."""

    assets: Path
    work: Path
    most: int
    n_collages: int
    n_rooms: int
    routes: tuple[Route, ...]
    compute: Compute

    @property
    def source(self) -> Source:
        return Source(features=self.work / "features")

    def net(self, *, pretrained: bool) -> Net:
        weights = str(self.assets / "weights" / "alexnet-conv.safetensors")
        return Net("alexnet", weights=weights if pretrained else "random", layers=LAYER)

    def regions(self, images: BoxedImages, how: Detection, net: Net) -> Path:
        """Return the store of the images' regions."""
        backbone = load_backbone(net.backbone, weights=net.weights, device=self.compute.device)
        table = region_table(
            images, how, with_objects=True, source=self.source, compute=self.compute
        )
        plan = region_plan(table, backbone, net, how, source=self.source, compute=self.compute)
        return extract_plan(plan, net, source=self.source, compute=self.compute)

    def planted(self) -> Figures:
        home = self.work / "collages"
        n = self.n_collages
        if not (home / "Annotations" / f"{n - 1:06d}.xml").exists():
            write_collages(self.assets, home, n)
        images = load_boxed(home).take(np.arange(n))
        figures = recall_of(images, self.source, self.compute)
        print(figures, flush=True)
        even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
        for route in self.routes:
            how = Detection(route=route, max_proposals=self.most)
            net = self.net(pretrained=True)
            with FeatureStore(self.regions(images, how, net)) as store:
                found = list(self.halves(store, images, net, how, [(even, odd)]))
            figures |= {
                f"planted_{route}_map": found[0][0],
                f"planted_{route}_map_unmoved": found[0][1],
            }
            print(figures, flush=True)
        return figures

    def rooms(self) -> Figures:
        home = self.assets / "data" / "rooms-boxes"
        images = load_boxed(home, Source(limit=self.n_rooms)).of_classes(ROOMS)
        rng, n = np.random.default_rng(0), len(images.objects)
        halves = [np.split(rng.permutation(n), [n // 2]) for _ in range(5)]
        found_by = recall_of(images, self.source, self.compute)
        figures: dict[str, float | None] = {f"rooms_{k}": v for k, v in found_by.items()}
        print(figures, flush=True)
        for route in self.routes:
            for pretrained in (True, False):
                how = Detection(route=route, max_proposals=self.most)
                net = self.net(pretrained=pretrained)
                with FeatureStore(self.regions(images, how, net)) as store:
                    found = [one for one, _ in self.halves(store, images, net, how, halves)]
                name = f"rooms_{route}_{'pretrained' if pretrained else 'random'}"
                figures |= spread(name, found)
                print(name, [round(one, 4) for one in found], flush=True)
        figures |= spread("rooms_chance", [chance(images.take(test), rng) for _, test in halves])
        return figures

    def halves(
        self,
        store: FeatureStore,
        images: BoxedImages,
        net: Net,
        how: Detection,
        halves: list[tuple[np.ndarray, np.ndarray]],
    ) -> Iterator[tuple[float, float]]:
        """Yield the mean average precision of each pair, with and without box regression."""
        backbone = load_backbone(net.backbone, weights=net.weights, device=self.compute.device)
        for train, test in halves:
            start = perf_counter()
            quiet = Compute(quiet=True)
            learned = fit_detector(
                StoredRegions(store, LAYER, np.sort(train)), backbone, net, how, compute=quiet
            )
            learned.save(
                self.work / f"{images.table.name}-{how.route}-{net.weights[-6:]}.safetensors"
            )
            tested, truth = StoredRegions(store, LAYER, np.sort(test)), images.take(np.sort(test))
            plain = replace(learned, regressions=(None,) * len(learned.class_names))
            own = truth.of_classes(learned.class_names)
            maps = [
                # a class that has no object to train on is never found
                float(np.nansum([one.ap_11pt for one in each])) / n_present(truth)
                for detector in (learned, plain)
                for each in [matched_classes(find_in_store(detector, tested), own)]
            ]
            print(
                f"  {maps[0]:.4f} ({maps[1]:.4f} unmoved), {perf_counter() - start:.0f} s",
                flush=True,
            )
            yield maps[0], maps[1]

    def cost(self) -> Figures:
        """Seconds and multiply-adds of one image of 640 x 480 with 2 000 proposals."""
        rooms = load_boxed(self.assets / "data" / "rooms-boxes").take(np.arange(1))
        figures: dict[str, float | None] = {}
        for route in ROUTES:
            how, net = Detection(route=route), self.net(pretrained=True)
            backbone = load_backbone(net.backbone, weights=net.weights, device=self.compute.device)
            table = region_table(rooms, how, with_objects=False, source=self.source)
            plan = region_plan(table, backbone, net, how)
            rows = np.arange(len(table.image_ids)).tolist()
            size = len(rows) if route == "roi" else plan.batch_size
            start, of_core = perf_counter(), process_time()
            with FlopCounterMode(display=False) as counter:
                for first in range(0, len(rows), size):
                    batch = load_regions(plan, rows[first : first + size])
                    if route == "roi":
                        RoiForward(plan, backbone).features(batch)
                    else:
                        backbone.activations(batch.pixels.to(backbone.device), [LAYER])
            figures[f"cost_{route}_seconds"] = perf_counter() - start
            figures[f"cost_{route}_core_seconds"] = process_time() - of_core
            figures[f"cost_{route}_gmacs"] = counter.get_total_flops() / 2e9
        figures["cost_proposals"] = len(rows)
        return figures

    def memory(self) -> Figures:
        """MiB that a search among 1 000 images of 2 000 random regions adds, by the images done."""
        seen, before = [], _peak_mib()
        mine(_Random(), after_image=lambda _: seen.append(_peak_mib() - before))
        return {f"mining_mib_{n}": seen[n - 1] for n in (100, 500, 1000)}


class _Random:
    """Features that are drawn anew whenever they are read: no memory is theirs."""

    n_images, per_image, n_features = 1000, 2000, 64
    positives = (np.arange(0, 1000 * 2000, 2000),)

    def rows(self, image: int) -> np.ndarray:
        return np.arange(image * self.per_image, (image + 1) * self.per_image)

    def overlaps(self, _image: int) -> np.ndarray:
        return (np.arange(self.per_image) == 0)[:, None].astype(float)

    def features(self, rows: np.ndarray) -> np.ndarray:
        parts = []
        for image in np.unique(rows // self.per_image):
            rng = np.random.default_rng(image)
            whole = rng.normal(size=(self.per_image, self.n_features)).astype(np.float32)
            whole[0, :8] += 3
            parts.append(whole[rows[rows // self.per_image == image] % self.per_image])
        return np.concatenate(parts)


def recall_of(images: BoxedImages, source: Source, compute: Compute) -> dict[str, float | None]:
    """Return what all proposals reach, and the first 100 and 300 of each image."""
    how = Detection(max_proposals=10**6)
    table = region_table(images, how, with_objects=False, source=source, compute=compute)
    starts = Names(table.image_ids).starts()
    boxes = np.split(table.boxes, starts[1:-1])
    truth = [one.boxes[~one.difficult] for one in images.objects]
    found = proposal_recall(boxes, truth, (100, 300, None))
    return {
        "mean_proposals": mean(len(one) for one in boxes),
        "recall_50": found[None][0], "recall_70": found[None][4],
        "recall_50_first_300": found[300][0], "recall_50_first_100": found[100][0],
    }  # fmt: skip


def n_present(images: BoxedImages) -> int:
    """Return the number of classes with an object that is not difficult."""
    return len({label for one in images.objects for label in one.labels[~one.difficult].tolist()})


def chance(images: BoxedImages, rng: np.random.Generator) -> float:
    """Return the mean average precision of 40 random boxes an image, of any score."""
    n = 40 * len(images.objects)
    found = []
    for _ in images.class_names:
        corners = rng.uniform(size=(n, 2, 2)) * (640, 480)
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
        order = rng.permutation(n)
        found.append(Detections(order % len(images.objects), boxes, np.arange(n, 0.0, -1)))
    return float(np.nanmean([one.ap_11pt for one in matched_classes(found, images)]))


def spread(name: str, values: list[float]) -> dict[str, float | None]:
    found = summary(values)
    return {
        f"{name}_map": found.mean, f"{name}_low": found.ci95_low, f"{name}_high": found.ci95_high
    }  # fmt: skip


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--collages", type=int, default=300)
    parser.add_argument("--rooms", type=int, default=85)
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=ROUTES)
    parser.add_argument("--most", type=int, default=300, help="proposals of an image")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    names = ("planted", "rooms", "cost", "memory")
    add_skip(parser, names)
    options = parser.parse_args()
    torch.manual_seed(0)
    bench = Bench(
        options.assets,
        options.work,
        options.most,
        options.collages,
        options.rooms,
        tuple(options.routes),
        Compute(options.device, workers=options.workers),
    )
    parts = {name: getattr(bench, name) for name in names}
    run_parts(parts, dict.fromkeys(options.skip, "not wanted"))


if __name__ == "__main__":
    main()
