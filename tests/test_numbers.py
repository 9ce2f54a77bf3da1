"""Numbers to predict, from the column `target` of a CSV file to ridge regression's results."""

import csv
from pathlib import Path

import numpy as np
import pytest
from flat import evaluate, extract, finetune, get_protocol, train
from PIL import Image
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.datasets.manifest import load_manifest
from decaf.errors import ConfigError, DataError
from decaf.heads.ridge import RidgeRegression
from decaf.metrics.bootstrap import ScoredRows, resampled
from decaf.metrics.kept_scores import read_scores
from decaf.results.files import scores_folder
from decaf.search_scores import evaluate_search
from decaf.store import FeatureStore
from decaf.store.exported import export_features
from decaf.store.imported import import_features

N_IMAGES = 48
MINI = {"backbone": "decaf-mini", "layers": "pool5", "device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write discs whose radius is to be predicted, in groups of four."""
    folder, rng = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    y, x = np.mgrid[:48, :48] - 24
    lines = [["path", "target", "group"]]
    for number in range(N_IMAGES):
        radius = rng.integers(3, 23)
        pixels = np.full((48, 48, 3), 30, np.uint8)
        pixels[y**2 + x**2 < radius**2] = 200
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        lines.append([f"{number:02d}.png", f"{radius - 12.5}", f"p{number // 4}"])
    with (folder / "discs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "discs.csv"


@pytest.fixture(scope="module")
def store(discs: Path) -> Path:
    return extract(discs, **MINI, out=discs.parent / "discs.h5")


def with_targets(
    discs: Path, out: Path, targets: list[object], header: str = "path,target"
) -> Path:
    lines = [f"{discs.parent}/{n:02d}.png,{one}" for n, one in enumerate(targets)]
    out.write_text("\n".join([header, *lines]) + "\n")
    return out


def test_ridge_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 50)), rng.normal(size=(30, 2))
    for head, C in zip(RidgeRegression().fit_path(X, Y, [0.1, 10]), [0.1, 10], strict=True):
        expected = Ridge(alpha=1 / C).fit(X, Y).predict(X)
        np.testing.assert_allclose(head.decision_function(X), expected, rtol=1e-9)


def test_results_are_the_metrics_of_the_kept_scores(store: Path, tmp_path: Path) -> None:
    table = evaluate(store, keep_scores=True, out=tmp_path / "t.csv", splits=3)
    assert {result.head for result in table.results} == {"ridge"}
    files = sorted(scores_folder(tmp_path / "t.csv").glob("*.npz"))
    assert len(files) == 3
    kept = sorted((read_scores(file) for file in files), key=lambda one: one.facts["split"])
    for result, one in zip(table.results, kept, strict=True):
        y, predicted = one.labels[:, 0], one.scores[:, 0]
        assert result.metric == "r2"
        assert result.value == pytest.approx(r2_score(y, predicted))
        assert result.value > 0.8
        assert result.other_value == pytest.approx(mean_absolute_error(y, predicted))
        assert dict(result.more)["spearman"] == pytest.approx(spearmanr(y, predicted).statistic)
        assert result.boot_low < result.value < result.boot_high


def test_groups_stay_together_and_splits_do_not_read_the_targets(
    discs: Path, tmp_path: Path
) -> None:
    others = np.random.default_rng(1).normal(size=N_IMAGES).tolist()
    twin = tmp_path / "discs.csv"
    rows = zip(discs.read_text().splitlines()[1:], others, strict=True)
    lines = [f"{discs.parent}/{line.split(',')[0]},{y},{line.split(',')[2]}" for line, y in rows]
    twin.write_text("\n".join(["path,target,group", *lines]))
    table = load_manifest(twin)
    first = list(get_protocol("holdout", load_manifest(discs)).splits(load_manifest(discs)))
    second = list(get_protocol("holdout", table).splits(table))
    groups = np.array(table.groups)
    for one, two in zip(first, second, strict=True):
        assert one.test.tolist() == two.test.tolist()
        assert not {*groups[one.train]} & {*groups[one.test]}


def test_targets_that_images_do_not_tell_are_not_predicted(discs: Path, tmp_path: Path) -> None:
    targets = np.random.default_rng(2).normal(size=N_IMAGES)
    noise = with_targets(discs, tmp_path / "noise.csv", targets.tolist())
    table = evaluate(noise, **MINI, features=tmp_path, out=tmp_path / "t.csv")
    assert np.mean([result.value for result in table.results]) < 0.2


def test_a_store_goes_out_and_comes_back(store: Path, tmp_path: Path) -> None:
    for form in ("npz", "parquet", "npy", "csv"):
        out = export_features(store, tmp_path / f"out.{form}", form)
        table = None
        if form in ("npy", "csv"):
            table = load_manifest(out if form == "csv" else out / "rows.csv", images=False)
        back = import_features(
            out / "pool5.npy" if form == "npy" else out, table, tmp_path / f"{form}.h5"
        )
        with FeatureStore(store) as one, FeatureStore(back) as two:
            assert two.labels.dtype == np.float64
            np.testing.assert_array_equal(one.labels, two.labels)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["1", "high"], "line 3: found the target 'high'"),
        (["1", "nan"], "line 3: found the target 'nan'"),
        (["1", "1e999"], "finite"),
        (["1", "1,5"], "number of values"),
        (["1", ""], "line 3: the target of"),
        (["2", "2.0"], "nothing to predict"),
    ],
)
def test_what_is_no_number_is_refused(
    discs: Path, tmp_path: Path, targets: list[object], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load_manifest(with_targets(discs, tmp_path / "bad.csv", targets))


def test_a_label_beside_is_a_class_as_before(discs: Path, tmp_path: Path) -> None:
    table = load_manifest(
        with_targets(discs, tmp_path / "both.csv", ["1.5,cat", "2,dog"], "path,target,label")
    )
    assert table.class_names == ("cat", "dog")


def test_what_is_for_classes_is_refused(discs: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    for refused in (
        lambda: evaluate(store, heads="svm", out=out),
        lambda: evaluate(store, metrics="top5", out=out),
        lambda: evaluate(store, metrics="auroc", out=out),
        lambda: evaluate(store, class_weight="balanced", out=out),
        lambda: evaluate(store, train_per_class="2", out=out),
        lambda: train(store, out=tmp_path / "m.safetensors"),
        lambda: train(discs, **MINI, out=tmp_path / "m.safetensors"),
        lambda: finetune(discs, **MINI, out=tmp_path / "m.safetensors"),
        lambda: extract(discs, **MINI, view="patches", out=tmp_path / "p.h5"),
        lambda: evaluate_search(store),
    ):
        with pytest.raises(ConfigError, match="numbers to predict"):
            refused()


def test_ridge_is_refused_for_classes(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ridge, found one label an image"):
        evaluate(image_folder, **MINI, heads="ridge", out=tmp_path / "t.csv")


def test_commands_show_numbers(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        ["evaluate", str(store)],
        ["report", "results/discs.csv", "--out", "r.html"],
        ["tune", str(store), "--space", "normalize=none,l2"],
        ["inspect", str(store)],
        ["search", str(store), "00.png", "--out", "hits.html"],
        ["store", "info", str(store)],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    assert "R2" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("grouped", [False, True])
def test_r2_of_resamples_is_that_of_rows_drawn_again(grouped: bool) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(120, 1))
    predicted = y + rng.normal(size=y.shape) / 2
    groups = np.repeat(np.arange(40), 3) if grouped else None
    rows = ScoredRows(y, [predicted], [np.arange(1)], groups)
    quick = resampled(rows, "r2")[0]
    units = np.arange(120) if groups is None else groups
    found = []
    for _ in range(1000):
        drawn = rng.integers(0, units.max() + 1, units.max() + 1)
        some = np.concatenate([np.flatnonzero(units == one) for one in drawn])
        found.append(r2_score(y[some], predicted[some]))
    for share in (0.025, 0.5, 0.975):
        assert np.quantile(quick, share) == pytest.approx(np.quantile(found, share), abs=0.03)
