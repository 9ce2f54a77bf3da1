"""The command line: light to start, true to the library, clear when it fails."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import decaf.demo
import decaf.tuning
from decaf.cli import evaluate as cli_evaluate
from decaf.cli import extract as cli_extract
from decaf.cli import finetune as cli_finetune
from decaf.cli.app import app, main
from decaf.evaluation import evaluate
from decaf.extraction import extract

NET = ["--backbone", "decaf-mini", "--weights", "random", "--device", "cpu", "--pool", "avg"]


def run_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from decaf.cli.app import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (cli_extract.extract, extract),
        (cli_evaluate.evaluate, evaluate),
        (cli_evaluate.demo, decaf.demo.demo),
        (cli_finetune.finetune, decaf.tuning.finetune),
    ],
)
def test_a_command_has_its_functions_arguments_and_defaults(
    command: Callable[..., None], function: Callable[..., object]
) -> None:
    def defaults(of: Callable[..., object]) -> dict[str, str]:
        return {
            name: str(parameter.default)
            for name, parameter in inspect.signature(of).parameters.items()
        }

    assert defaults(command) == defaults(function)


def test_help_loads_neither_torch_nor_scikit_learn(tmp_path: Path) -> None:
    code = (
        "import sys; from decaf.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'sklearn', 'h5py', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "extract" in done.stdout


def test_the_main_job_as_a_process(image_folder: Path, tmp_path: Path) -> None:
    done = run_process(
        "evaluate", "--dataset", str(image_folder), *NET, "--heads", "svm,knn", "--splits", "2",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "RANDOM" in done.stdout
    assert "svm" in done.stdout.lower()
    assert "images/s" in done.stderr
    assert (tmp_path / "results" / "images.csv").is_file()
    assert (tmp_path / "results" / "images-splits.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--backbone", "nonet"], 2, "unknown backbone 'nonet'"),
        (["--pool", "sum"], 2, "unknown pooling 'sum'"),
        (["--device", "tpu"], 2, "unknown device 'tpu'"),
        (["--dataset", "nowhere"], 2, "nowhere"),
    ],
)
def test_a_mistake_ends_in_one_message(
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["decaf", "extract", "--dataset", str(image_folder), *NET, *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_missing_option_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["extract"])
    assert result.exit_code == 2
    assert "--dataset" in result.output


def test_extract_prints_the_stores_path_alone(image_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.h5"
    result = CliRunner().invoke(
        app, ["extract", "--dataset", str(image_folder), *NET, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)


def test_store_info_and_verify(image_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.h5"
    runner = CliRunner()
    runner.invoke(app, ["extract", "--dataset", str(image_folder), *NET, "--out", str(out)])
    info = runner.invoke(app, ["store", "info", str(out)])
    assert '"n_images": 24' in info.stdout
    assert runner.invoke(app, ["store", "verify", str(out)]).exit_code == 0
    content = bytearray(out.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(content)
    broken = runner.invoke(app, ["store", "verify", str(out)])
    assert broken.exit_code == 1
    assert "sound" not in broken.stdout


def test_listings() -> None:
    runner = CliRunner()
    assert "resnet50" in runner.invoke(app, ["models"]).stdout
    layers = runner.invoke(app, ["layers", "alexnet"]).stdout
    assert "256 x 6 x 6" in layers
    assert "9216 features" in layers
    got = runner.invoke(app, ["models", "get", "cnn_s"])
    assert got.exit_code == 1
    assert "put VGG_CNN_S.caffemodel into" in str(got.exception)
    refused = runner.invoke(app, ["layers", "os:getcwd"])
    assert refused.exit_code == 1
    assert "--allow-code" in str(refused.exception)
    assert "caltech101" in runner.invoke(app, ["datasets"]).stdout
    assert runner.invoke(app, ["--version"]).stdout.startswith("decaf 0.")
