"""`decaf extract --shard` and `decaf store join`, as a scheduler would run them."""

from pathlib import Path

from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import StoreError
from decaf.store import FeatureStore

NET = ["--backbone", "decaf-mini", "--weights", "random", "--device", "cpu", "--pool", "avg"]


def test_shards_are_joined(image_folder: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    command = ["extract", "--dataset", str(image_folder), *NET, "--out", str(tmp_path)]
    parts = [
        runner.invoke(app, [*command, "--shard", f"{number}/2"]).stdout.strip() for number in (1, 2)
    ]
    joined = str(tmp_path / "joined.h5")
    done = runner.invoke(app, ["store", "join", *parts, "--out", joined])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == joined
    with FeatureStore(joined) as store:
        assert store.n_images == 24
        assert store.done.all()
    assert runner.invoke(app, ["store", "verify", joined]).exit_code == 0
    gap = runner.invoke(app, ["store", "join", parts[0], "--out", str(tmp_path / "gap.h5")])
    assert isinstance(gap.exception, StoreError)
    assert "rows from 12 to 24" in str(gap.exception)
