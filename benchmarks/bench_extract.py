"""Images per second from JPEG files to a feature store, against a careful user's script.

    python benchmarks/bench_extract.py [PICTURES] [--limit 1500] [--repeats 3]

PICTURES is a folder of class folders; without it, the Caltech-101 pictures below the folder
that DECAF_ASSETS names. The net is AlexNet with random weights (speed does not depend on their
values); layers pool5, fc6 and fc7. Every run is a process of its own, ours and the peer's in
turn; the peer (baseline_extract.py) runs with 1 and with 2 workers and its best is taken.
Loading the net is not timed, for either.

The bound is what the machine could do if it did nothing but the stages' own work on all cores
at once: cores / (seconds a picture spent reading, decoding, cropping, in the net and writing,
measured on one thread).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.engines import n_cores, run
from decaf.extraction import make_plan, n_features, provenance
from decaf.store import FeatureWriter

HERE = Path(__file__).parent


def ours(arguments):
    """Extract once in this process and print its figures."""
    torch.manual_seed(0)
    if arguments.workers == 0:  # everything in this thread, which then is the only one
        torch.set_num_threads(1)
    table = load_dataset(str(arguments.pictures), Path(), limit=arguments.limit)
    net = load_backbone(
        arguments.backbone, weights="random", device="cpu", precision=arguments.precision
    )
    plan = make_plan(table, net, workers=arguments.workers)
    with FeatureWriter(
        arguments.out, provenance(plan, "float32"), table, n_features(plan), 1
    ) as writer:
        start = perf_counter()
        seconds = run(plan, writer, lambda *_: None)
        writer.finish()
        wall = perf_counter() - start
    n_images = len(table.image_ids)
    print(
        json.dumps(
            {
                "images_per_s": n_images / wall,
                "stages_ms": {k: 1000 * v / n_images for k, v in vars(seconds).items()},
            }
        )
    )


def timed(command):
    """Run a command and return the JSON object in its last line."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments, folder):
    """Return the runs of every contestant, taken in turn."""
    common = [str(arguments.pictures), str(folder / "features.h5"), "--limit", str(arguments.limit)]
    common += ["--backbone", arguments.backbone]
    own = [sys.executable, __file__, *common, "--child"]
    peer = [sys.executable, str(HERE / "baseline_extract.py"), *common]
    contestants = {
        "peer, 1 worker": [*peer, "--workers", "1"],
        "peer, 2 workers": [*peer, "--workers", "2"],
        "decaf fp32": [*own, "--precision", "fp32"],
        "decaf bf16": [*own, "--precision", "bf16"],
        "one thread fp32": [*own, "--precision", "fp32", "--workers", "0"],
        "one thread bf16": [*own, "--precision", "bf16", "--workers", "0"],
    }
    runs = {name: [] for name in contestants}
    for _ in range(arguments.repeats):
        for name, command in contestants.items():
            for left in folder.iterdir():
                left.unlink()
            runs[name].append(timed(command))
    return runs


def stages(runs):
    """Return each stage's median milliseconds a picture."""
    return {
        stage: float(np.median([run["stages_ms"][stage] for run in runs]))
        for stage in runs[0]["stages_ms"]
    }


def report(arguments, runs):
    """Print the table and, as its last line, the JSON object."""
    rate = {name: median(run["images_per_s"] for run in found) for name, found in runs.items()}
    baseline = max(rate["peer, 1 worker"], rate["peer, 2 workers"])
    print(
        f"{arguments.backbone}, {arguments.limit} pictures, {n_cores()} cores, "
        f"median of {arguments.repeats}; load before: {arguments.load}"
    )
    print(f"{'':18} {'images/s':>9} {'ratio':>6}   range")
    for name, found in runs.items():
        rates = [run["images_per_s"] for run in found]
        print(
            f"{name:18} {rate[name]:9.1f} {rate[name] / baseline:6.2f}   "
            f"{min(rates):.1f} to {max(rates):.1f}"
        )
    result = {"baseline_images_per_s": baseline}
    for precision in ("fp32", "bf16"):
        alone = stages(runs[f"one thread {precision}"])
        bound = 1000 * n_cores() / sum(alone.values())
        ours_rate = rate[f"decaf {precision}"]
        print(
            f"{precision} stages on one thread, ms a picture: "
            + ", ".join(f"{k} {v:.2f}" for k, v in alone.items())
            + f"; bound {bound:.0f} images/s, reached {ours_rate / bound:.2f} of it"
        )
        result[f"images_per_s_{precision}"] = ours_rate
        result[f"ratio_{precision}"] = ours_rate / baseline
        result[f"bound_ratio_{precision}"] = ours_rate / bound
    result["bound_ratio"] = result["bound_ratio_fp32"]
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    assets = os.environ.get("DECAF_ASSETS")
    default = Path(assets) / "data/caltech101/101_ObjectCategories" if assets else None
    parser.add_argument("pictures", type=Path, nargs="?", default=default)
    parser.add_argument("out", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--limit", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pictures is None:
        parser.error("give a folder of class folders with JPEG pictures, or set DECAF_ASSETS")
    if arguments.child:
        ours(arguments)
        return
    arguments.load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory() as folder:
        report(arguments, measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
