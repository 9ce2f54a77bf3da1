"""Actors of a Ray cluster make the store that one process makes."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from flat import extract, make_plan
from PIL import Image

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.engines import Plan, fill_with_ray, provenance
from decaf.engines.ray_engine import MAX_SHARDS, MIN_ROWS, parts_of
from decaf.engines.ray_worker import Worker
from decaf.errors import ConfigError
from decaf.store import FeatureStore, Provenance, join

N_IMAGES = 2 * MIN_ROWS + 300
OPTIONS = {
    "backbone": "decaf-mini", "weights": "random", "layers": "fc7", "device": "cpu", "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
    for number in range(N_IMAGES):
        small = rng.integers(0, 256, (8, 8, 3), np.uint8)
        path = folder / "ab"[number % 2] / f"{number:05d}.png"
        Image.fromarray(small).resize((32, 32)).save(path)
    (folder / "a" / "00000.png").write_bytes(b"")
    return folder


def same(one: Path, other: Path) -> None:
    with FeatureStore(one) as a, FeatureStore(other) as b:
        assert a.digest == b.digest
        np.testing.assert_array_equal(a.done, b.done)
        np.testing.assert_allclose(a["fc7"][:][a.done], b["fc7"][:][b.done], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(a.image_sha256, b.image_sha256)


@pytest.mark.parametrize("n_images", [1, MIN_ROWS, MIN_ROWS + 1, 10**7])
def test_shards_cover_all_rows_once(n_images: int) -> None:
    parts = parts_of(n_images)
    assert len(parts) <= MAX_SHARDS
    assert [a for a, _ in parts] == [0, *(b for _, b in parts[:-1])]
    assert parts[-1][1] == n_images


@pytest.mark.parametrize(
    "options",
    [{"engine": "spark"}, {"engine": "ray", "shard": "1/2"}, {"num_workers": 2}],
)
def test_wrong_options_are_refused(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engine"):
        extract("digits", out=tmp_path, **OPTIONS, **options)


@pytest.mark.ray
def test_dense_patches_are_refused(images: Path, tmp_path: Path) -> None:
    recipe, whole = asked(images)
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = Plan(**(recipe | {"backbone": net, "dense": object()}))
    with pytest.raises(ConfigError, match="use 'patches'"):
        fill_with_ray(tmp_path / "ray.h5", plan, whole, NET, num_workers=1)


@pytest.mark.ray
@pytest.mark.slow
def test_ray_makes_the_store_of_the_local_engine(images: Path, tmp_path: Path) -> None:
    local = extract(images, out=tmp_path / "local.h5", **OPTIONS)
    script = (
        "import sys; from flat import extract, make_plan; extract(sys.argv[1], out=sys.argv[2], "
        f"engine='ray', num_workers=2, **{OPTIONS})"
    )
    out = tmp_path / "ray.h5"
    command = [sys.executable, "-c", script, str(images), str(out)]
    job = subprocess.Popen(command)  # a worker is killed, then the job
    shards = out.with_suffix(".shards")
    _wait_for(lambda: list(shards.glob("*.part")))
    busy = [pid for pid, name in started_by(job.pid).items() if "MapWorker" in name]
    os.kill(busy[0], signal.SIGKILL)
    _wait_for(lambda: list(shards.glob("*.h5")))
    assert job.poll() is None
    for pid in (job.pid, *started_by(job.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    job.wait()
    done = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.h5")}
    subprocess.run(command, check=True)
    for name, written in done.items():
        assert (shards / name).stat().st_mtime_ns == written
    same(local, out)
    assert (tmp_path / "ray.failures.csv").read_text() == (
        tmp_path / "local.failures.csv"
    ).read_text()


@pytest.mark.ray
@pytest.mark.slow
def test_actors_read_tar_archives_at_a_url(images: Path, tmp_path: Path) -> None:
    archives = tmp_path / "archives"
    archives.mkdir()
    files = [path for name in "ab" for path in sorted((images / name).iterdir())[:30]]
    for number in range(2):
        with tarfile.open(archives / f"{number}.tar", "w") as tar:
            for path in files[number::2]:
                tar.add(path, path.relative_to(images).as_posix())
    local = extract(archives.as_uri(), out=tmp_path / "local.h5", **OPTIONS)
    script = (
        "import sys; from flat import extract, make_plan; extract(sys.argv[1], out=sys.argv[2], "
        f"engine='ray', num_workers=1, **{OPTIONS})"
    )
    out = tmp_path / "ray.h5"
    subprocess.run([sys.executable, "-c", script, archives.as_uri(), str(out)], check=True)
    same(local, out)


@pytest.mark.ray
@pytest.mark.slow
def test_too_many_failures_over_all_shards_end_the_job(images: Path, tmp_path: Path) -> None:
    script = "from decaf.cli.app import main; main()"
    options = [x for k, v in OPTIONS.items() if k != "quiet" for x in (f"--{k}", str(v))]
    command = [sys.executable, "-c", script, "extract", *options, "--dataset", str(images)]
    command += ["--out", str(tmp_path / "ray.h5"), "--engine", "ray", "--max-failures", "0"]
    job = subprocess.run(command, check=False, capture_output=True, text=True)
    assert job.returncode == 1
    assert "decaf: 1 of 2348 images cannot be used" in job.stderr.splitlines()[-1]
    assert "Traceback" not in job.stderr
    assert (tmp_path / "ray.shards" / "000000000000.failures.csv").exists()


def asked(images: Path, **more: object) -> tuple[dict[str, object], Provenance]:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(load_dataset(images, limit=8), net, layers="fc7", workers=1)
    recipe = {
        k: v for k, v in vars(plan).items() if k not in {"backbone", "replicas", "start", "dense"}
    }
    return recipe | more, provenance(plan, "float32")


NET = {"name": "decaf-mini", "weights": "random", "device": "cpu"}


def test_a_worker_fills_shards_and_counts_failures(images: Path, tmp_path: Path) -> None:
    recipe, whole = asked(images, max_failures=1.0)
    worker = Worker(recipe, whole, NET)
    parts = [{"path": tmp_path / f"{a}.h5", "first": a, "end": a + 4} for a in (0, 4)]
    said = [worker(part) for part in parts]
    assert said[0] == {"n_rows": 4, "failed": ["a/00000.png"], "kind": "", "error": ""}
    assert said[1] == {"n_rows": 4, "failed": [], "kind": "", "error": ""}
    with FeatureStore(join([part["path"] for part in parts], tmp_path / "all.h5")) as store:
        assert store.done.sum() == 7


def test_a_worker_returns_its_errors(images: Path, tmp_path: Path) -> None:
    recipe, whole = asked(images, max_failures=0.0)
    shard = {"path": tmp_path / "0.h5", "first": 0, "end": 4}
    said = Worker(recipe, whole, NET)(shard)
    assert said["kind"] == "DataError"
    assert "cannot be used" in said["error"]
    said = Worker(recipe, whole, NET | {"seed": 1})(shard)
    assert said["kind"] == "BackboneError"
    assert "put the same file on all machines" in said["error"]
    assert said["n_rows"] == 0


def started_by(pid: int) -> dict[int, str]:
    """Return the processes that a process started, or that those did, by name."""
    command = ["ps", "-eo", "pid=,ppid=,args="]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split(maxsplit=2) for line in lines]
    found: dict[int, str] = {}
    for number, parent, name in sorted(rows, key=lambda row: int(row[0])):
        if int(parent) == pid or int(parent) in found:
            found[int(number)] = name
    return found


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 600  # a loaded machine starts actors slowly
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
