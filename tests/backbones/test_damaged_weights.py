"""Whatever a file of weights holds, it is read or refused, and never ends in a traceback."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import safetensors.torch
import torch
from caffe_files import layer
from damage import damaged
from torch import nn

from decaf.backbones.fitting import fill
from decaf.backbones.weights import local_weights
from decaf.errors import BackboneError, DecafError

N = 150


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def pth(path: Path) -> None:
    torch.save({"state_dict": small().state_dict(), "epoch": 3}, path)


def old_pth(path: Path) -> None:
    torch.save(small().state_dict(), path, _use_new_zipfile_serialization=False)


def in_safetensors(path: Path) -> None:
    safetensors.torch.save_file(small().state_dict(), path)


def in_onnx(path: Path) -> None:
    weights = {"0.weight": small()[0].weight, "0.bias": small()[0].bias}
    weights |= {"3.weight": small()[3].weight, "3.bias": small()[3].bias}
    nodes = [
        onnx.helper.make_node("Conv", ["x", "0.weight", "0.bias"], ["y"]),
        onnx.helper.make_node("Gemm", ["y", "3.weight", "3.bias"], ["z"], transB=1),
    ]
    tensors = [
        onnx.numpy_helper.from_array(value.detach().numpy(), key) for key, value in weights.items()
    ]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", [], [], tensors)), path)


def in_caffemodel(path: Path) -> None:
    conv = [p.detach().numpy() for p in small()[0].parameters()]
    linear = [p.detach().numpy() for p in small()[3].parameters()]
    path.write_bytes(
        layer("0", "Convolution", conv, 2)
        + layer("3", "InnerProduct", linear, 2)
        + layer("0", "Convolution", conv, 1)
    )


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pth": ("net.pth", pth),
    "old pth": ("old.pth", old_pth),
    "safetensors": ("net.safetensors", in_safetensors),
    "onnx": ("net.onnx", in_onnx),
    "caffemodel": ("net.caffemodel", in_caffemodel),
}


def load(path: Path) -> None:
    weights = local_weights(path)
    fill(small(), "small", weights.label, weights.state)


def attack(form: str, folder: Path, n: int, seed: int = 0) -> tuple[int, int]:
    """Read damaged files; return how many were read and how many refused."""
    name, write = FORMS[form]
    write(folder / name)
    load(folder / name)
    counts = [0, 0]
    for content in damaged((folder / name).read_bytes(), n, seed):
        (folder / name).write_bytes(content)
        try:
            load(folder / name)
            counts[0] += 1
        except DecafError:
            counts[1] += 1
    return counts[0], counts[1]


@pytest.mark.filterwarnings("ignore")  # of libraries, about what the files say
@pytest.mark.parametrize("form", FORMS)
def test_damaged_files_are_read_or_refused(form: str, tmp_path: Path) -> None:
    n_read, n_refused = attack(form, tmp_path, N)
    assert n_read + n_refused == N
    assert n_refused > N / 5


def quantised() -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(4, 3, 3, 3), 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")  # of torch, that sparse forms are in beta
@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: torch.eye(4).to_sparse(), "sparse"),
        (lambda: torch.eye(4).to_sparse_csr(), "sparse"),
        (lambda: torch.empty(4, 3, 3, 3, device="meta"), "meta"),
        (lambda: torch.ones(4, 3, 3, 3, dtype=torch.complex64), "complex"),
        (lambda: torch.ones(4, 3, 3, 3).to(torch.float8_e4m3fn), "in 8 bits"),
        (quantised, "quantised"),
    ],
)
def test_tensors_of_other_kinds_are_refused(
    made: Callable[[], torch.Tensor], kind: str, tmp_path: Path
) -> None:
    torch.save({**small().state_dict(), "0.weight": made()}, tmp_path / "net.pth")
    with pytest.raises(BackboneError, match=rf"0\.weight|{kind}|Quant"):
        load(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        3,
        None,
        {"state_dict": []},
        {"state_dict": {"state_dict": {}}},
        {"model": {1: torch.ones(2)}},
        {"0.weight": [1.0, 2.0]},
        {"optimizer": {"lr": 0.1}, "epoch": 3},
        torch.ones(3),
    ],
)
def test_what_is_no_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(BackboneError):
        load(tmp_path / "net.pth")


def test_a_small_file_that_declares_a_large_tensor_is_refused_in_little_memory(
    tmp_path: Path,
) -> None:
    """In each form of torch's files, by views of little memory, and by compression."""
    resource = pytest.importorskip("resource")
    wide = torch.zeros(1).expand(10**6, 10**6)
    for number, new in enumerate((True, False)):
        path = tmp_path / f"{number}.pth"
        torch.save({"0.weight": wide}, path, _use_new_zipfile_serialization=new)
    pth(tmp_path / "net.pth")
    with (
        zipfile.ZipFile(tmp_path / "net.pth") as archive,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
        packed.writestr("net/data/99", bytes(10**8))
    about = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    header = json.dumps({"a": about}).encode()
    (tmp_path / "large.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("0.pth", "1.pth", "packed.pth", "large.safetensors"):
        with pytest.raises(BackboneError):
            load(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_pickles_that_end_too_early(tmp_path: Path) -> None:
    for content in (b"", b"\x80", b"\x80\x02}", pickle.dumps({"a": 1})[:-1]):
        (tmp_path / "net.pth").write_bytes(content)
        with pytest.raises(BackboneError):
            load(tmp_path / "net.pth")
