"""What decaf does on a GPU, measured in one go of less than nine minutes.

    PYTHONPATH=. python benchmarks/gpu.py [--out gpu] [--device cuda] [--skip PART ...] [--tiny]

Needs torch, torchvision, h5py, scikit-learn, pandas and typer; what else is missing (pytest, timm,
torchcodec, the GPU itself) is said and left out. Parts are processes of their own, so that none
takes the others with it, and each has its share of the time:

- `tests`: those that are marked `gpu`
- `drift`: features of the GPU against those of the CPU in fp32, in each precision
- `extraction`: images/s, and each stage, with and without nvJPEG
- `peers`: a torch script with a DataLoader of 8 and of 16 workers
- `heads`: a linear SVM of SUN397's size
- `finetuning`: the last block of ResNet-50

Writes OUT.md and OUT.json after each part. Without a GPU it runs on the CPU; `--tiny` shows only
that it runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import torch

from decaf.machine import n_cores
from decaf.whole_files import write_whole

HERE = Path(__file__).parent
BUDGET_S = 530
SHARES_S = {
    "tests": 110, "drift": 80, "extraction": 200, "peers": 120, "heads": 90, "finetuning": 90,
}  # fmt: skip
VIT = "timm/vit_small_patch16_224"
NETS = {"alexnet": "fc7", "resnet50": "pool5", VIT: "pool5"}
PRECISIONS = {"fp32": 2e-3, "bf16": 5e-2, "fp16": 1e-2}
"""And how far features may be from those in fp32, in norm."""


class Part:
    """What a part finds: figures, lines of a table, what it leaves out; each is told at once."""

    def __init__(self, arguments):
        self.images, self.device, self.tiny = arguments.images, arguments.device, arguments.tiny
        self.figures, self.lines, self.skipped = {}, [], []

    @property
    def on_gpu(self):
        return self.device != "cpu"

    def note(self, key, value, unit, about=""):
        """Add a figure."""
        self.figures[key] = value
        self.lines.append(f"| {key} | {value:.4g} {unit} | {about} |")
        self.tell()

    def skip(self, what, reason):
        """Say what is left out."""
        self.skipped.append(f"{what}: {' '.join(str(reason).split())}")
        self.tell()

    def tell(self):
        """Print what was found so far, as it may be stopped."""
        found = {"figures": self.figures, "lines": self.lines, "skipped": self.skipped}
        print(json.dumps(found), flush=True)

    def command(self, what, *command):
        """Return the JSON object that a command ends in; None where it fails, which is said."""
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            self.skip(what, (done.stderr.strip().splitlines() or ["no reason given"])[-1])
            return None
        return json.loads(done.stdout.splitlines()[-1])

    def nets(self):
        """Yield the nets that can be had, and the layer of each."""
        for name, layer in {"decaf-mini": "fc7"}.items() if self.tiny else NETS.items():
            if name.startswith("timm/") and find_spec("timm") is None:
                self.skip(name, "timm is not installed")
            else:
                yield name, layer


def tests(part):
    """Run the tests that are marked `gpu`."""
    if not part.on_gpu:
        part.skip("tests", "no GPU here")
        return
    if find_spec("pytest") is None:
        part.skip("tests", "pytest is not installed")
        return
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider",
         "tests/engines", "tests/images", "tests/heads", "tests/finetuning"],
        cwd=HERE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    part.lines += [f"| {line.strip()} | | |" for line in done.stdout.splitlines()[-25:]]
    part.note("tests_exit_code", done.returncode, "", "0: all passed")


def drift(part):
    """Compare the device's features with the CPU's in fp32."""
    from decaf.backbones import load_backbone  # noqa: PLC0415 - parts load what they need
    from decaf.errors import DecafError  # noqa: PLC0415 - each part is a process and loads what it needs

    for name, layer in part.nets():
        reference = load_backbone(name, weights="random", device="cpu")
        size_px = reference.preprocessing.input_size_px
        chance = torch.Generator().manual_seed(0)
        shape = (2 if part.tiny else 16, 3, size_px, size_px)
        pixels = torch.randint(0, 256, shape, generator=chance, dtype=torch.uint8)
        expected = reference.activations(pixels, [layer])[layer]
        for precision, limit in PRECISIONS.items():
            try:
                net = load_backbone(name, weights="random", device=part.device, precision=precision)
                found = net.activations(pixels.to(part.device), [layer])[layer].cpu()
            except (DecafError, RuntimeError) as error:
                part.skip(f"{name} in {precision}", error)
                continue
            off = float((found - expected).norm() / expected.norm())
            part.note(
                f"{name}_{precision}_drift", off, "of the norm",
                f"at most {limit:g}: {'yes' if off <= limit else 'NO'}",
            )  # fmt: skip


def extraction(part):
    """Extract by decaf: images/s, and milliseconds of each stage."""
    limit = 16 if part.tiny else 4096
    for name, _ in part.nets():
        for precision in ("fp32",) if part.tiny else ("fp32", "bf16"):
            for decoder in ("auto", "gpu"):
                what = f"{name}_{precision}_{decoder}"
                if decoder == "gpu" and not part.on_gpu:
                    part.skip(what, "nvJPEG needs a GPU")
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    said = part.command(
                        what, HERE / "bench_extract.py", part.images, Path(folder, "f.h5"),
                        "--child", "--backbone", name, "--limit", limit, "--device", part.device,
                        "--precision", precision, "--decoder", decoder,
                    )  # fmt: skip
                if said is None:
                    continue
                stages = ", ".join(f"{k} {v:.2f}" for k, v in said["stages_ms"].items())
                part.note(
                    f"{what}_images_per_s", said["images_per_s"], "images/s",
                    f"ms an image in all threads: {stages}",
                )  # fmt: skip


def peers(part):
    """Extract by a torch script with worker processes."""
    limit = 16 if part.tiny else 4096
    for name in ("alexnet",) if part.tiny else ("alexnet", "resnet50"):
        for n_workers in (1,) if part.tiny else (8, 16):
            what = f"peer_{name}_{n_workers}_workers"
            with tempfile.TemporaryDirectory() as folder:
                said = part.command(
                    what, HERE / "baseline_extract.py", part.images, Path(folder, "f.h5"),
                    "--backbone", name, "--limit", limit, "--device", part.device,
                    "--workers", n_workers, "--batch-size", 16 if part.tiny else 256,
                    "--channels-last",
                )  # fmt: skip
            if said is not None:
                part.note(f"{what}_images_per_s", said["images_per_s"], "images/s", "fp32")


def heads(part):
    """Fit a linear SVM of SUN397's size."""
    from heads_data import generated  # noqa: PLC0415 - each part is a process and loads what it needs

    from decaf.heads import HEADS  # noqa: PLC0415 - each part is a process and loads what it needs

    sizes = (300, 64, 10) if part.tiny else (19_850, 4_096, 397)
    task = generated(*sizes)
    HEADS["svm"](device=part.device).fit(task.X[:200], task.y[:200])  # loads what it needs
    for head in ("svm",) if part.tiny else ("svm", "logreg"):
        start = perf_counter()
        HEADS[head](device=part.device).fit(task.X, task.y)
        part.note(f"sun397_{head}_s", perf_counter() - start, "s", " x ".join(map(str, sizes)))


def finetuning(part):
    """Train the last block of a net."""
    from decaf import Compute, Net, Source, finetune  # noqa: PLC0415 - each part is a process and loads what it needs

    net = Net("decaf-mini" if part.tiny else "resnet50", weights="random", seed=0)
    n_images = 40 if part.tiny else 1024
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        finetune(
            part.images,
            net if part.tiny else Net("resnet50", weights="random", layers="pool5"),
            recipe="blocks=1,epochs=1" if part.tiny else "blocks=1,epochs=3",
            source=Source(limit=n_images, features=folder),
            compute=Compute(device=part.device, quiet=True),
            out=Path(folder, "net.safetensors"),
        )
        seconds = perf_counter() - start
    part.note("finetuning_s", seconds, "s", f"{net.backbone}, {n_images} images, the head too")


PARTS = {one.__name__: one for one in (tests, drift, extraction, peers, heads, finetuning)}


def child(arguments):
    """Run one part and print what it found."""
    part = Part(arguments)
    try:
        PARTS[arguments.part](part)
    except Exception as error:  # noqa: BLE001 - what it found before still counts
        part.skip(arguments.part, f"{type(error).__name__}: {error}")
    part.tell()


def run_part(name, arguments, images, left_s):
    """Return what a part found in the time that it may take."""
    if name in arguments.skip:
        return {"skipped": [f"{name}: as asked"]}
    limit_s = min(SHARES_S[name], left_s)
    command = [
        sys.executable, __file__, "--part", name, "--images", str(images),
        "--device", arguments.device, *(["--tiny"] if arguments.tiny else []),
    ]  # fmt: skip
    if limit_s < 10:
        return {"skipped": [f"{name}: no time is left"]}
    reason = ""
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as errors:
        try:
            status = subprocess.run(
                command, stdout=told, stderr=errors, check=False, timeout=limit_s,
                env=os.environ | {"PYTHONPATH": path_of_decaf()},
            ).returncode  # fmt: skip
            if status:
                errors.seek(0)
                reason = (errors.read().strip().splitlines() or [f"status {status}"])[-1]
        except subprocess.TimeoutExpired:
            reason = f"it was stopped after {limit_s:.0f} s"
        told.seek(0)
        lines = told.read().splitlines()
    found = json.loads(lines[-1]) if lines else {"skipped": []}
    return found | {"skipped": found["skipped"] + ([f"{name}: {reason}"] if reason else [])}


def path_of_decaf():
    """Return PYTHONPATH with this clone, whose tests find their own modules too."""
    own = [str(HERE.parent), str(HERE.parent / "tests"), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, own))


def machine(device):
    """Say what it runs on."""
    import torchvision  # noqa: PLC0415 - each part is a process and loads what it needs

    name = torch.cuda.get_device_name(device) if device != "cpu" else "no GPU"
    return (
        f"{name}, {n_cores()} cores, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}"
    )


def write(out, said, found):
    """Write the Markdown and the JSON file."""
    text = [f"# decaf on {said}", ""]
    for name, part in found.items():
        text += [f"## {name}", "", *(f"- left out: {one}" for one in part["skipped"]), ""]
        if part.get("lines"):
            text += ["| what | figure | |", "|---|---|---|", *part["lines"], ""]
    figures = {k: v for part in found.values() for k, v in part.get("figures", {}).items()}
    skipped = [one for part in found.values() for one in part["skipped"]]
    result = {"machine": said, **figures, "left_out": skipped}
    write_whole(out.with_suffix(".md"), "\n".join(text))
    write_whole(out.with_suffix(".json"), json.dumps(result, indent=2) + "\n")
    return result


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="of the two files, no ending")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=[], metavar="PART")
    parser.add_argument("--tiny", action="store_true", help="show only that it runs")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        child(arguments)
        return
    from bench_memory import make_images  # noqa: PLC0415 - each part is a process and loads what it needs

    start, found, said = perf_counter(), {}, machine(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        make_images(images, 64 if arguments.tiny else 4096, (500, 375), n_files=512)
        for name in PARTS:
            left_s = BUDGET_S - (perf_counter() - start)
            found[name] = run_part(name, arguments, images, left_s)
            result = write(arguments.out, said, found)
            for one in found[name]["skipped"]:
                print(f"left out: {one}", flush=True)
            for line in found[name].get("lines", []):
                print(line, flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
