"""Images per second from JPEG files to a feature store, against a careful user's script.

    python benchmarks/bench_extract.py [IMAGES] [--skip PART ...] [--repeats 3]

IMAGES is a folder of class folders; without it, the Caltech-101 images below the folder
that DECAF_ASSETS names, or generated ones. AlexNet gives pool5, fc6 and fc7, ResNet-50 its pool5,
the averaged last map; weights are random (speed does not depend on their values). Every run is a
process of its own, ours and the peer's in turn; the peer (baseline_extract.py) runs with 1 and
with 2 workers and its best is taken. Loading the net is not timed, for either. bf16 is left out
where the machine has no instructions for it.

The bound is what the machine could do if it did nothing but the stages' own work on all cores at
once: 1 / (seconds an image spent reading, decoding, cropping, in the net and writing), added over
the cores, measured with a process of one thread pinned to each at the same time, as cores share a
cache and may differ in speed. With a GPU (--device cuda; ask for more images by --limit) it is
the smaller of what the cores and the GPU could do, and pixels by nvJPEG are measured too.

`ray` extracts 20 000 images with two actors and with the local engine, by the command line,
start-up included, and compares the features: IMAGES over and over with AlexNet (`ray_ratio`), and
generated tiny ones with decaf-mini (`ray_ratio_tiny`), half a minute's work, much of it start-up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from bench_memory import make_images
from parts import add_skip, run_parts

from decaf.backbones import load_backbone
from decaf.backbones.loading import find_precision
from decaf.datasets import load_dataset
from decaf.engines import n_cores, run
from decaf.extraction import make_plan, n_features, provenance
from decaf.records import Compute, Net
from decaf.store import FeatureStore, FeatureWriter

BASELINE = Path(__file__).with_name("baseline_extract.py")
LIMITS = {"alexnet": 1024, "resnet50": 256}
PARTS = (*LIMITS, "ray")
LAYERS = {"alexnet": None, "resnet50": "pool5"}
DECAF = [sys.executable, "-c", "from decaf.cli.app import main; main()"]


def ours(arguments):
    """Extract once in this process and print its figures."""
    torch.manual_seed(0)
    if arguments.core is not None:  # everything in this thread, which then is the only one
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {arguments.core})
    table = load_dataset(str(arguments.images), Path(), limit=arguments.limit)
    net = load_backbone(
        arguments.backbone, weights="random", device=arguments.device, precision=arguments.precision
    )
    plan = make_plan(
        table,
        net,
        Net(layers=LAYERS[arguments.backbone]),
        decoder=arguments.decoder,
        compute=Compute(workers=arguments.workers),
    )
    with FeatureWriter(
        arguments.out, provenance(plan, "float32"), table, n_features(plan), 1
    ) as writer:
        start = perf_counter()
        seconds = run(plan, writer, lambda *_: None)
        writer.finish()
        wall = perf_counter() - start
    n_images = len(table.image_ids)
    stages = {stage: 1000 * value / n_images for stage, value in vars(seconds).items()}
    bound = seconds.bound(n_images, plan)
    print(json.dumps({"images_per_s": n_images / wall, "stages_ms": stages, "bound": bound}))


def timed(*commands):
    """Run commands at the same time; return what their last lines say, rates added."""
    jobs = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    lines = [job.communicate()[0].splitlines() for job in jobs]
    if any(job.returncode for job in jobs):
        raise SystemExit(f"failed: {commands[0]}")
    said = [json.loads(one[-1]) for one in lines]
    return {
        "images_per_s": sum(one["images_per_s"] for one in said),
        "bound": sum(one.get("bound", 0) for one in said),
        "stages_ms": stages(said),
    }


def measure(arguments, backbone, precisions, folder):
    """Return the runs of every contestant, taken in turn."""
    limit = str(arguments.limit or LIMITS[backbone])
    common = ["--limit", limit, "--backbone", backbone, "--device", arguments.device]

    def command(script, out, *more):
        files = [str(arguments.images), str(folder / out)]
        return [sys.executable, str(script), *files, *common, *more]

    on_cpu = arguments.device == "cpu"
    cores = sorted(os.sched_getaffinity(0))
    pins = [["--core", str(core)] for core in cores] if on_cpu else [[]]
    contestants = {
        f"peer, workers {n}": [command(BASELINE, "features.h5", "--workers", str(n))]
        for n in ((1, 2) if on_cpu else (8, 16))
    }
    for precision in precisions:
        own = ["--child", "--precision", precision]
        contestants[f"decaf {precision}"] = [command(__file__, "features.h5", *own)]
        if not on_cpu:
            nvjpeg = command(__file__, "features.h5", *own, "--decoder", "gpu")
            contestants[f"decaf {precision}, nvjpeg"] = [nvjpeg]
        contestants[f"bound {precision}"] = [
            command(__file__, f"{number}.h5", *own, "--workers", "0", *pin)
            for number, pin in enumerate(pins)
        ]
    runs = {name: [] for name in contestants}
    for _ in range(arguments.repeats):
        for name, commands in contestants.items():
            for left in folder.iterdir():
                left.unlink()
            runs[name].append(timed(*commands))
    return runs


def stages(runs):
    """Return each stage's median milliseconds an image."""
    return {
        stage: float(np.median([run["stages_ms"][stage] for run in runs]))
        for stage in runs[0].get("stages_ms", {})
    }


def compare(arguments, backbone):
    """Print a net's table; return its figures."""
    has_bf16 = find_precision("auto", torch.device(arguments.device)) == "bf16"
    precisions = ("fp32", "bf16") if has_bf16 else ("fp32",)
    with tempfile.TemporaryDirectory() as folder:
        runs = measure(arguments, backbone, precisions, Path(folder))
    rate = {name: median(run["images_per_s"] for run in found) for name, found in runs.items()}
    baseline = max(found for name, found in rate.items() if name.startswith("peer"))
    print(
        f"\n{backbone}, {arguments.limit or LIMITS[backbone]} images, {arguments.device}, "
        f"{n_cores()} cores, median of {arguments.repeats}; load before: {arguments.load}"
    )
    print(f"{'':20} {'images/s':>9} {'ratio':>6}   range")
    for name, found in runs.items():
        rates = [run["images_per_s"] for run in found]
        print(
            f"{name:20} {rate[name]:9.1f} {rate[name] / baseline:6.2f}   "
            f"{min(rates):.1f} to {max(rates):.1f}"
        )
    if not has_bf16:
        print("bf16: not measured, this processor would emulate it")
    result = {"baseline_images_per_s": baseline}
    for precision in ("fp32", "bf16"):
        keys = [f"{key}_{precision}" for key in ("images_per_s", "ratio", "bound_ratio")]
        if precision not in precisions:
            result |= dict.fromkeys(keys)
            continue
        alone = stages(runs[f"bound {precision}"])
        bound = median(run["bound"] for run in runs[f"bound {precision}"])
        ours_rate = rate[f"decaf {precision}"]
        print(
            f"{precision} stages, ms an image of one core: "
            + ", ".join(f"{k} {v:.2f}" for k, v in alone.items())
            + f"; bound {bound:.0f} images/s, reached {ours_rate / bound:.2f} of it"
        )
        result |= zip(keys, (ours_rate, ours_rate / baseline, ours_rate / bound), strict=True)
    together = stages(runs["decaf fp32"])
    result["bound_ratio"] = result["bound_ratio_fp32"]
    result["write_share"] = together["write"] / sum(together.values())
    print(f"share of the threads' time in writing: {result['write_share']:.3f}")
    return result


def on_ray(images, n_images, backbone, layers):
    """Extract with two actors and with this machine's threads, by commands; return the ratio."""
    rates, stores = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for engine, more in (("local", []), ("ray", ["--engine", "ray", "--num-workers", "2"])):
            stores[engine] = Path(folder, f"{engine}.h5")
            command = [
                *DECAF, "extract", "--dataset", str(images), "--backbone", backbone,
                "--weights", "random", "--layers", layers, "--device", "cpu",
                "--out", str(stores[engine]), "--quiet", *more,
            ]  # fmt: skip
            start = perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rates[engine] = n_images / (perf_counter() - start)
        with FeatureStore(stores["local"]) as a, FeatureStore(stores["ray"]) as b:
            same = a.digest == b.digest and all(
                np.allclose(a["fc7"][some], b["fc7"][some], rtol=1e-4, atol=1e-5)
                for some in np.array_split(np.arange(n_images), 10)
            )
    if not same:
        raise SystemExit("the features of the two engines differ")
    ratio = rates["ray"] / rates["local"]
    print(
        f"ray: {n_images} images, {backbone} {layers}, whole commands: local "
        f"{rates['local']:.1f} images/s, two actors {rates['ray']:.1f}, ratio {ratio:.2f}"
    )
    return ratio


def both_on_ray(arguments):
    """Compare the engines where the net costs much and where it costs next to nothing."""
    n_images = arguments.n_ray
    with tempfile.TemporaryDirectory() as name:
        tiny, real = Path(name, "tiny"), Path(name, "real")
        make_images(tiny, n_images)
        result = {"ray_ratio_tiny": on_ray(tiny, n_images, "decaf-mini", "fc7")}
        files = sorted(arguments.images.glob("*/*.jpg"))
        for number in range(n_images):
            file = files[number % len(files)].resolve()
            link = real / file.parent.name / f"{number:06d}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
        return result | {"ray_ratio": on_ray(real, n_images, "alexnet", "pool5,fc6,fc7")}


def resnet50(arguments):
    """Return ResNet-50's ratios under names of their own."""
    found = compare(arguments, "resnet50")
    return {f"resnet50_{key}": value for key, value in found.items() if "ratio" in key}


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    assets = os.environ.get("DECAF_ASSETS")
    default = Path(assets) / "data/caltech101/101_ObjectCategories" if assets else None
    parser.add_argument("images", type=Path, nargs="?", default=default)
    parser.add_argument("out", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    add_skip(parser, PARTS)
    parser.add_argument("--limit", type=int, help="images; fewer for resnet50 if not given")
    parser.add_argument("--n-ray", type=int, default=20_000, help="images for ray")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--backbone", default="alexnet", help=argparse.SUPPRESS)
    parser.add_argument("--decoder", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        ours(arguments)
        return
    arguments.load = f"{os.getloadavg()[0]:.1f}"
    lacking = {name: None if name in arguments.only else "as asked" for name in PARTS}
    lacking |= dict.fromkeys(arguments.skip, "as asked")
    if lacking["ray"] is None and find_spec("ray") is None:
        lacking["ray"] = "ray is not installed; pip install 'ray[data]'"
    with tempfile.TemporaryDirectory() as folder:
        if arguments.images is None and None in lacking.values():
            print("images: generated, 500 x 375; real ones: a folder, or DECAF_ASSETS")
            arguments.images = Path(folder, "images")
            make_images(arguments.images, max(LIMITS.values()), (500, 375))
        run_parts(
            {
                "alexnet": lambda: compare(arguments, "alexnet"),
                "resnet50": lambda: resnet50(arguments),
                "ray": lambda: both_on_ray(arguments),
            },
            lacking,
        )


if __name__ == "__main__":
    main()
