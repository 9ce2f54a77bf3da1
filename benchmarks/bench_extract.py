"""Images per second from JPEG files to a feature store, against what careful users write.

    python benchmarks/bench_extract.py [IMAGES] [--nets PART,PART] [--skip PART ...] [--repeats 3]

IMAGES is a folder of class folders; without it, the Caltech-101 images below the folder
that DECAF_ASSETS names, or generated ones. Weights are random (speed does not depend on their
values). Every run is a process of its own, and loading the net is not timed, for anybody.

A part is a net, `one_pass` or `ray`; the parts of one net end within ten minutes. The peers of a
net are two scripts (baseline_extract.py), by torch and by ONNX Runtime, each with the number of
workers and the memory format that were fastest in trials of --probe seconds, and thingsvision where
--thingsvision names the interpreter of an environment that has it (its pinned versions exclude
decaf's). Then decaf and the peers run in turn. `<net>_ratio_torch` is decaf's rate over that of
the torch script, `<net>_ratio_best` over that of the fastest peer: medians over the turns.
`<net>_cpu_ratio_torch` and `_best` are the same of images a second of processor time, which
depends less on what else the machine does.

The bound is what the cores could do if each stage took them only the least that it took in any
run, alone on each core or beside others, and they never waited: cores / (seconds an image). No
run can be faster; where one is, because the machine changed its speed, there is no bound.

`one_pass` extracts three small nets in one pass over the images and in three (`one_pass_saved`,
`one_pass_cpu_saved`: the shares of the time). `ray` extracts 20 000 images with two actors and with
the local engine, by the command line, start-up included, and compares the features: IMAGES over
and over with AlexNet (`ray_ratio`), and generated tiny ones with decaf-mini (`ray_ratio_tiny`),
half a minute's work, much of it start-up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import numpy as np
import torch
from bench_memory import make_images
from parts import add_skip, cpu_seconds, run_parts

from decaf import process
from decaf.datasets import load_dataset
from decaf.engines.local import run_together
from decaf.extraction import load_nets, make_plan, n_features, provenance
from decaf.machine import n_cores
from decaf.records import Compute, Net
from decaf.store import FeatureStore, FeatureWriter

HERE = Path(__file__).parent
LIMITS = {
    "alexnet": 1024, "resnet50": 192, "mobilenet_v2": 768, "efficientnet_b0": 384,
    "squeezenet1_1": 1024, "vgg16": 128, "vit_b_16": 128,
}  # fmt: skip
SMALL = ("squeezenet1_1", "mobilenet_v2", "shufflenet_v2_x1_0")
PARTS = (*LIMITS, "one_pass", "ray")
OPTIONS = {
    "alexnet": {},
    "vgg16": {},
    "squeezenet1_1": {"layers": "pool5", "pool": "avg"},
}
"""What is taken of a net; of others `pool5`."""
DECAF = [sys.executable, "-c", "from decaf.cli.app import main; main()"]


def ours(arguments):
    """Extract one net or several once in this process, and print its figures."""
    process.own()  # as the command's
    if arguments.core is not None:  # everything in this thread, which then is the only one
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {arguments.core})
    table = load_dataset(str(arguments.images), Path(), limit=arguments.limit)
    runs = []
    with ExitStack() as opened:
        for number, name in enumerate(arguments.backbone.split(",")):
            options = {"precision": arguments.precision} | OPTIONS.get(name, {"layers": "pool5"})
            if arguments.runtime:
                options["runtime"] = arguments.runtime
            net = Net(name, weights="random", **options)
            (loaded, *_) = load_nets(net, arguments.device)
            plan = make_plan(
                table, loaded, net, decoder=arguments.decoder,
                compute=Compute(workers=arguments.workers),
            )  # fmt: skip
            out = arguments.out.with_suffix(f".{number}.h5")
            writer = FeatureWriter(out, provenance(plan, "float32"), table, n_features(plan), 1)
            runs.append((replace(plan, even=True), opened.enter_context(writer)))
        start, cpu_start = perf_counter(), cpu_seconds()
        seconds = run_together(runs, lambda *_: None)
        for _, writer in runs:
            writer.finish()
        wall, cpu = perf_counter() - start, cpu_seconds() - cpu_start
    n_images = len(table.image_ids)
    stages = {stage: 1000 * value / n_images for stage, value in vars(seconds).items()}
    said = {"images_per_s": n_images / wall, "cpu_ms": 1000 * cpu / n_images, "stages_ms": stages}
    print(json.dumps(said))


def timed(*commands):
    """Run commands at the same time; return what the last line of each says."""
    jobs = [
        subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for one in commands
    ]
    said = [job.communicate() for job in jobs]
    for job, (_, errors) in zip(jobs, said, strict=True):
        if job.returncode:
            reason = (errors.strip().splitlines() or ["no reason given"])[-1]
            raise RuntimeError(f"{' '.join(map(str, job.args))} failed: {reason}")
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def in_turn(
    contestants: dict[str, Callable[[], list]], repeats: int, folder: Path
) -> dict[str, list]:
    """Return what each contestant says in each turn; one that fails is said and left out."""
    runs = {name: [] for name in contestants}
    for _ in range(repeats):
        for name in list(runs):
            for left in folder.iterdir():
                left.unlink()
            try:
                runs[name].append(contestants[name]())
            except RuntimeError as error:
                if name == "decaf":
                    raise
                print(f"left out: {name}: {error}", flush=True)
                del runs[name]
    return runs


def rate(said: list) -> float:
    return sum(one["images_per_s"] for one in said)


class Contest:
    """The commands of one net's contestants."""

    def __init__(self, arguments, net, folder):
        self.arguments, self.net, self.folder = arguments, net, folder
        self.limit = arguments.limit or LIMITS[net]

    def command(self, script, out, limit, *more):
        """Return a command of one of the scripts."""
        files = [self.arguments.images, *([self.folder / out] if out else [])]
        common = ["--limit", limit, "--backbone", self.net]
        return [str(x) for x in (sys.executable, HERE / script, *files, *common, *more)]

    def ours(self, out, limit, *more):
        runtime = ["--runtime", self.arguments.runtime] if self.arguments.runtime else []
        return self.command("bench_extract.py", out, limit, "--child", *runtime, *more)

    def peer(self, limit, *more):
        return timed(self.command("baseline_extract.py", "peer.h5", limit, *more))

    def alone(self):
        """Run a process of one thread on each core at the same time."""
        cores = sorted(os.sched_getaffinity(0))
        part = max(1, self.limit // len(cores))
        return timed(
            *(self.ours(core, part, "--workers", 0, "--core", core) for core in map(str, cores))
        )

    def peers(self):
        """Return the peers that run here, with their best settings."""
        found = {}
        for what in ("torch", "onnx"):
            options = ["--runtime", what, "--graph", self.folder.with_suffix(".onnx")]
            try:
                (said,) = self.peer(self.limit, *options, "--probe", self.arguments.probe)
                best = said["options"]
                name = " ".join([what, *(one.strip("-") for one in best)])
                found[name] = partial(self.peer, self.limit, *options, *best)
            except RuntimeError as error:
                print(f"left out: {what}: {error}", flush=True)
        if self.arguments.thingsvision:
            script = self.command("thingsvision_extract.py", None, self.limit)
            found["thingsvision"] = lambda: timed([str(self.arguments.thingsvision), *script[1:]])
        return found


def compare(arguments, net):
    """Print a net's table; return its figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, net)
        folder.mkdir()
        contest = Contest(arguments, net, folder)
        peers = contest.peers()
        contestants = {
            "decaf": lambda: timed(contest.ours("decaf.h5", contest.limit)),
            **peers,
        }
        runs = in_turn(contestants, arguments.repeats, folder)
        runs |= in_turn({"one thread a core": contest.alone}, 1, folder)
    rates = {who: [rate(said) for said in found] for who, found in runs.items()}
    print(
        f"\n{net}, {contest.limit} images, {n_cores()} cores, median of {arguments.repeats}; "
        f"load before: {arguments.load}; peers' settings by trials of {arguments.probe:g} s each"
    )
    per_cpu = {who: [1000 / mean(one["cpu_ms"] for one in t) for t in runs[who]] for who in runs}
    print(f"{'':32} {'images/s':>9} {'range':>16} {'decaf over it':>14}   range; a CPU second")
    for who, found in rates.items():
        over = [a / b for a, b in zip(rates["decaf"], found, strict=False)]  # the last ran once
        print(
            f"{who:32} {median(found):9.1f} {min(found):7.1f} to {max(found):5.1f} "
            f"{median(over):14.2f}   {min(over):.2f} to {max(over):.2f}; {median(per_cpu[who]):.1f}"
        )
    least = least_stages(runs["decaf"] + runs["one thread a core"])
    bound = 1000 * n_cores() / sum(least.values())
    reached = median(rates["decaf"]) / bound
    reached = reached if reached <= 1 else None
    share = "exceeded, so it is none" if reached is None else f"reached {reached:.2f} of it"
    print(
        "least ms an image of one core: "
        + ", ".join(f"{stage} {ms:.2f}" for stage, ms in least.items())
        + f"; bound {bound:.0f} images/s, {share}",
        flush=True,
    )
    figures = {f"{net}_images_per_s": median(rates["decaf"]), f"{net}_bound_ratio": reached}
    ran = [who for who in peers if who in runs]
    kinds = {"torch": [who for who in ran if who.startswith("torch")], "best": ran}
    for key, measured in (("ratio", rates), ("cpu_ratio", per_cpu)):
        for kind, names in kinds.items():
            others = [measured[who] for who in names]
            figures[f"{net}_{key}_{kind}"] = ratio(measured["decaf"], others) if others else None
    return figures


def ratio(own, others):
    """Return the median over turns of a rate over that of the fastest other."""
    return median(a / max(turn) for a, *turn in zip(own, *others, strict=True))


def least_stages(runs):
    """Return the least milliseconds that an image took each stage in any process."""
    said = [one["stages_ms"] for turn in runs for one in turn]
    return {stage: min(one[stage] for one in said) for stage in said[0]}


def one_pass(arguments):
    """Extract three nets in one pass and in three; return the share of the time that is saved."""
    limit = arguments.limit or 512
    ways = {"one pass": [",".join(SMALL)], "three passes": SMALL}
    runtime = ["--runtime", arguments.runtime] if arguments.runtime else []

    def seconds(folder, nets):
        said = []
        for net in nets:
            files = [str(arguments.images), str(folder / f"{net}.h5")]
            options = ["--child", "--limit", str(limit), *runtime, "--backbone", net]
            said += timed([sys.executable, __file__, *files, *options])
        return [(limit / one["images_per_s"], limit * one["cpu_ms"] / 1000) for one in said]

    with tempfile.TemporaryDirectory() as name:
        runs = in_turn(
            {way: partial(seconds, Path(name), nets) for way, nets in ways.items()},
            arguments.repeats,
            Path(name),
        )
    print(f"\n{', '.join(SMALL)}, {limit} images, {n_cores()} cores; load: {arguments.load}")
    figures = {}
    for at, (key, what) in enumerate((("one_pass_saved", "s"), ("one_pass_cpu_saved", "CPU s"))):
        totals = {way: [sum(one[at] for one in turn) for turn in runs[way]] for way in runs}
        for way, found in totals.items():
            print(f"{way:32} {median(found):9.2f} {what}, {min(found):.2f} to {max(found):.2f}")
        saved = [1 - a / b for a, b in zip(totals["one pass"], totals["three passes"], strict=True)]
        figures[key] = median(saved)
        print(f"saved {median(saved):.3f} of it, {min(saved):.3f} to {max(saved):.3f}")
    return figures


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
        raise RuntimeError("the features of the two engines differ")
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


def chosen(arguments):
    """Return why parts are left out, by part."""
    only = arguments.nets.split(",") if arguments.nets else list(PARTS)
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise SystemExit(f"unknown part {unknown[0]!r}; choose among: {', '.join(PARTS)}")
    lacking = {name: None if name in only else "as asked" for name in PARTS}
    lacking |= dict.fromkeys(arguments.skip, "as asked")
    if lacking["ray"] is None and find_spec("ray") is None:
        lacking["ray"] = "ray is not installed; pip install 'ray[data]'"
    return lacking


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    assets = os.environ.get("DECAF_ASSETS")
    default = Path(assets) / "data/caltech101/101_ObjectCategories" if assets else None
    parser.add_argument("images", type=Path, nargs="?", default=default)
    parser.add_argument("out", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument(
        "--nets", metavar="PART,PART", help=f"parts to run, all if not given: {', '.join(PARTS)}"
    )
    add_skip(parser, PARTS)
    parser.add_argument("--limit", type=int, help="images; fewer for large nets if not given")
    parser.add_argument("--n-ray", type=int, default=20_000, help="images for ray")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--probe", type=float, default=5, help="seconds of each trial of a peer")
    parser.add_argument("--runtime", help="decaf's, as for its --runtime; its default if not given")
    parser.add_argument(
        "--thingsvision", type=Path, metavar="PYTHON", help="interpreter that has thingsvision"
    )
    parser.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
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
    lacking = chosen(arguments)
    if not arguments.thingsvision:
        print("left out: thingsvision: --thingsvision names no interpreter that has it")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.images is None and None in lacking.values():
            print("images: generated, 500 x 375; real ones: a folder, or DECAF_ASSETS")
            arguments.images = Path(folder, "images")
            make_images(arguments.images, max(LIMITS.values()), (500, 375))
        run_parts(
            {
                **{net: partial(compare, arguments, net) for net in LIMITS},
                "one_pass": partial(one_pass, arguments),
                "ray": partial(both_on_ray, arguments),
            },
            lacking,
        )


if __name__ == "__main__":
    main()
