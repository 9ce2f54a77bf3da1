"""Actors of a Ray cluster make the store that one process makes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decaf.engines.ray_engine import MAX_SHARDS, MIN_ROWS, parts_of
from decaf.errors import ConfigError
from decaf.extraction import extract
from decaf.store import FeatureStore

N_IMAGES = 2 * MIN_ROWS + 300
OPTIONS = {
    "backbone": "decaf-mini", "weights": "random", "layers": "fc7", "device": "cpu", "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
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
        extract("digits", out=tmp_path, **OPTIONS, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_ray_makes_the_store_of_the_local_engine(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    local = extract(pictures, out=tmp_path / "local.h5", **OPTIONS)  # type: ignore[arg-type]
    script = (
        "import sys; from decaf import extract; extract(sys.argv[1], out=sys.argv[2], "
        f"engine='ray', num_workers=2, **{OPTIONS})"
    )
    out = tmp_path / "ray.h5"
    command = [sys.executable, "-c", script, str(pictures), str(out)]
    job = subprocess.Popen(command, start_new_session=True)  # a worker is killed, then the job
    shards = out.with_suffix(".shards")
    _wait_for(lambda: list(shards.glob("*.part")))
    workers = subprocess.run(["pgrep", "-f", "ray::"], check=False, capture_output=True, text=True)
    for pid in workers.stdout.split()[:1]:
        os.kill(int(pid), signal.SIGKILL)
    _wait_for(lambda: list(shards.glob("*.h5")))
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(2)  # what the job left behind ends
    done = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.h5")}
    subprocess.run(command, check=True)
    for name, written in done.items():
        assert (shards / name).stat().st_mtime_ns == written
    same(local, out)
    assert (tmp_path / "ray.failures.csv").read_text() == (
        tmp_path / "local.failures.csv"
    ).read_text()


def _wait_for(condition: object) -> None:
    deadline = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
