"""A classifier as one file, with its net: ONNX from pixels to probabilities, or decaf's own."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from decaf.backbones import TorchBackbone, pool_features
from decaf.backbones.whole_pass import WholePass, to_onnx
from decaf.choices import ExportFormat, checked
from decaf.classifier import Classifier, save_with_net
from decaf.errors import BackboneError, ConfigError
from decaf.extras import require_packages
from decaf.images.decode import PIXEL_POLICY
from decaf.images.views import n_views
from decaf.rowwise import normalized, probabilities
from decaf.trained_net import load_net
from decaf.whole_files import require_output, whole_file

MAX_DIFFERENCE = 1e-4
_N_CHECKED = 3


@checked
def export(
    model: str | Path,
    *,
    to: ExportFormat = "onnx",
    out: str | Path | None = None,
    weights: str | None = None,
    allow_code: bool = False,
) -> Path:
    """Write a classifier, with its net, as one file: for other programs, or for decaf elsewhere.

    As ``safetensors`` it is a model for `predict` that carries its net, as far as its layer needs
    it. As ``onnx`` the file takes ``pixels``, ``(n, 3, S, S)`` uint8 RGB of the model's view, and
    gives ``probabilities``, ``(n, n_classes)``. Its metadata say how images become pixels
    (``preprocessing``) and name the classes (``class_names``), as JSON. onnxruntime must give what
    torch gives, within 1e-4, or nothing is written.

    Parameters
    ----------
    model : str or pathlib.Path
        A file that `train` wrote.
    to : {"onnx", "safetensors"}
        Which of them.
    out : str or pathlib.Path, optional
        The file; if not given, the model's name with another suffix, or with ``-with-net``.
    weights : str, optional
        Where the net's weights are now; where they were in training if not given.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ConfigError
        If the format is unknown, a package is missing, or the view has several crops or patches.
    DataError
        If the model is not usable.
    BackboneError
        If the net cannot be had or written, its weights are not those of the training, or
        onnxruntime gives other probabilities.
    """
    source = Path(model)
    endings = {"onnx": ".onnx", "safetensors": "-with-net.safetensors"}
    path = source.with_name(f"{source.stem}{endings[to]}") if out is None else Path(out)
    require_output(path, f".{to}", inputs=[source])
    classifier = Classifier.load(source)
    if to == "safetensors":
        save_with_net(classifier, path, weights=weights, allow_code=allow_code)
        return path
    require_packages("an export to onnx", "onnx", "onnxruntime", "onnxscript")
    if classifier.patches is not None or n_views(classifier.view) > 1:
        raise ConfigError(
            f"asked to export a model of the view {classifier.view}, which has several crops; "
            "train one on a single crop"
        )
    net = load_net(classifier, weights=weights, device="cpu", allow_code=allow_code)
    _write_onnx(classifier, net, path)
    return path


def _write_onnx(classifier: Classifier, net: TorchBackbone, path: Path) -> None:
    """Write the file, if onnxruntime gives what torch gives."""
    import onnx  # noqa: PLC0415 - only where it is used
    import onnxruntime  # noqa: PLC0415 - only an export needs it

    side = net.preprocessing.input_size_px
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (_N_CHECKED, 3, side, side), dtype=torch.uint8, generator=rng)
    whole = _Whole(net, classifier).eval()
    proto = to_onnx(whole, pixels, "pixels", ["probabilities"], any_number=True)
    about = {
        "class_names": classifier.class_names,
        "preprocessing": _steps(net, classifier),
        "trained": {"backbone": net.name, "weights_sha256": net.weights_sha256},
    }
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=json.dumps(value))
    with whole_file(path) as part:
        onnx.save(proto, part)
        session = onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"pixels": pixels.numpy()})
        with torch.inference_mode():
            expected = whole(pixels).numpy()
        difference = float(np.abs(found - expected).max())
        if not difference <= MAX_DIFFERENCE:
            raise BackboneError(
                f"asked to export to {path}; onnxruntime's probabilities differ from torch's by "
                f"{difference:.1e}, allowed is {MAX_DIFFERENCE:.0e}; use a model of another net"
            )


class _Whole(nn.Module):
    """Net and head as one module."""

    def __init__(self, net: TorchBackbone, classifier: Classifier) -> None:
        super().__init__()
        self.classifier, self.prefix_tokens = classifier, net.prefix_tokens
        self.net = WholePass(net._net, [classifier.layer])
        self.head = nn.ModuleList()
        for weight, bias in classifier.layers:
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.load_state_dict(
                {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}
            )
            self.head.append(linear)
        self.mean = nn.Buffer(torch.tensor(net.preprocessing.mean).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(net.preprocessing.std).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.float() / 255 - self.mean) / self.std
        dtype = next(self.net.parameters(), torch.empty(0)).dtype
        X = pool_features(
            self.net(x.to(dtype))[0].float(), self.classifier.pool, self.prefix_tokens
        )
        X = normalized(X, self.classifier.normalize)
        for number, linear in enumerate(self.head):
            X = linear(X.relu() if number else X)
        return probabilities(X, exclusive=not self.classifier.multilabel)


def _steps(net: TorchBackbone, classifier: Classifier) -> dict[str, object]:
    return {
        "view": classifier.view,
        "input": "uint8 RGB, (n, 3, S, S); mean and deviation are applied inside",
        **asdict(net.preprocessing),
        "antialias": True,
        "pixels": dict(PIXEL_POLICY),
    }
