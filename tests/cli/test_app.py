"""The command line: light to start, true to the library, clear when it fails."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from flat import demo, evaluate, extract, fields_of, finetune, train
from typer.testing import CliRunner

import decaf
from decaf.cli.app import app, main
from decaf.errors import ConfigError
from decaf.records import is_record

NET = ["--backbone", "decaf-mini", "--weights", "random", "--device", "cpu", "--pool", "avg"]


def run_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from decaf.cli.app import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


VERBS = (extract, evaluate, train, finetune, decaf.predict, demo)


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("function", VERBS, ids=lambda function: function.__name__)
def test_a_command_has_its_functions_records_and_arguments(function: Callable[..., Any]) -> None:
    options = {option.name: option for option in COMMANDS[function.__name__].params}
    found = fields_of(function)
    for name, one in found.items():
        option = options.pop(name)
        assert (option.opts, option.default) == (["--" + name.replace("_", "-")], one.default)
        assert option.help.startswith(one.metadata["about"])  # then the words it takes
    own = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if not is_record(get_type_hints(function)[name])
    }
    if own.pop("data", None):
        assert (options.pop("store").default, options.pop("dataset").default) == (None, None)
    assert options.keys() == own.keys()
    for name, default in own.items():
        if default is not inspect.Parameter.empty:
            assert str(options[name].default) == str(default)


def test_an_option_is_declared_once() -> None:
    """A command may add what holds where the option is not given."""
    declared = {}
    for verb in VERBS:
        declared |= {name: one.metadata["about"] for name, one in fields_of(verb).items()}
    again = {
        (name, option.name)
        for name, command in COMMANDS.items()
        for option in command.params
        if option.name in declared and not option.help.startswith(declared[option.name])
    }
    assert not again


def test_a_store_or_a_data_set(tmp_path: Path) -> None:
    for command in ("evaluate", "train"):
        for given, said in (
            ([], "found neither"),
            (["s.h5", "--dataset", str(tmp_path)], "found both"),
            (["digits"], "no .h5; give --dataset digits"),
        ):
            error = CliRunner().invoke(app, [command, *given]).exception
            assert isinstance(error, ConfigError)
            assert said in str(error)


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
