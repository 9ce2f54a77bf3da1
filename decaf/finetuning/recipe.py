"""How a net is fine-tuned, as data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from decaf.backbones.trainable import Blocks
from decaf.choices import check_choice, did_you_mean
from decaf.errors import ConfigError
from decaf.protocols.checks import check_above_0, check_count
from decaf.types import IntArray

Schedule = Literal["cosine", "step"]
Start = Literal["svm", "logreg", "random"]

_CHOICES = {
    "schedule": get_args(Schedule),
    "start": get_args(Start),
}
_ABOVE_0 = ("head_lr", "lr", "lr_decay", "min_crop_area")
_SHARES = ("warmup", "momentum", "ema_decay", "dropout", "label_smoothing", "validation")


@dataclass(frozen=True)
class Recipe:
    """How a net is fine-tuned.

    The head may start as the linear one that is trained on the frozen net, so that training only
    has to improve on it and does not distort the features first [1]_. Rates are those of SGD with
    Nesterov's momentum [2]_; the head's one counts for features of unit mean squared norm, to
    which they are scaled.

    Attributes
    ----------
    blocks : int or "all"
        How many of the net's last blocks are trained; see `decaf.backbones.blocks_of`.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step.
    head_lr : float
        Highest learning rate of the head.
    lr : float
        Highest learning rate of the last block.
    lr_decay : float
        Each block before it has its follower's rate times this [3]_.
    momentum : float
        Of SGD.
    weight_decay : float
        Of matrices; vectors (biases, normalisations) have none.
    schedule : str
        ``cosine``: half a cosine down to 0 [4]_; ``step``: a tenth at 1/3, 2/3 and 8/9 of the
        steps.
    warmup : float
        Share of the steps in which the rate grows from 0 [5]_.
    freeze_bn : bool
        Keep the statistics of batch normalisation in trained blocks, so that training starts at
        the linear head's own scores; else they follow the batches, as a net without pretraining
        needs.
    crops : int
        0: a new random crop of each image in each epoch, mirrored half the time. 1: no
        augmentation, the plain view. N: the plain view and N - 1 random crops, drawn once; what
        the frozen blocks give of them is computed once and kept on disk.
    min_crop_area : float
        Smallest share of an image that a random crop covers [6]_.
    dropout : float
        Share of the features that are dropped in training.
    label_smoothing : float
        Label smoothing; for images of one label.
    ema_decay : float
        Decay of the moving average of the weights that is validated and kept; 0 for none.
    start : str
        Where the head starts: at an ``svm`` or ``logreg`` on the frozen features, or ``random``.
    validation : float
        Share of each class's training images that chooses the epoch, where the protocol sets
        none aside.
    refit : bool
        Train on all the training images once the number of epochs is chosen, as the heads are;
        else keep what was trained without the validation images.
    keep_epochs : bool
        Keep the net's weights after every epoch, for `decaf visualize evolution`; of a single
        training, as `decaf finetune`'s.

    References
    ----------
    .. [1] Kumar et al., Fine-tuning can distort pretrained features and underperform
       out-of-distribution, ICLR 2022.
    .. [2] Sutskever et al., On the importance of initialization and momentum, ICML 2013.
    .. [3] Howard and Ruder, Universal language model fine-tuning, ACL 2018, section 3.2.
    .. [4] Loshchilov and Hutter, SGDR, ICLR 2017, equation 5.
    .. [5] Goyal et al., Accurate, large minibatch SGD, 2017, section 2.2.
    .. [6] Szegedy et al., Going deeper with convolutions, CVPR 2015, section 6.
    """

    blocks: Blocks = 1
    epochs: int = 20
    batch_size: int = 32
    head_lr: float = 0.1
    lr: float = 0.0005
    lr_decay: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    freeze_bn: bool = True
    crops: int = 0
    min_crop_area: float = 0.85
    dropout: float = 0.0
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    start: Start = "svm"
    validation: float = 0.2
    refit: bool = True
    keep_epochs: bool = False

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is from 0 to below 1, found {getattr(self, name):g}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("crops", 0)):
            check_count(least, **{name: getattr(self, name)})
        check_above_0(**{name: getattr(self, name) for name in _ABOVE_0})
        if self.min_crop_area > 1 or not 0 <= self.weight_decay < math.inf:
            raise ConfigError(
                "min_crop_area is at most 1, and weight_decay 0 or more; correct them"
            )
        _parse_blocks(self.blocks)
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)


def _parse_blocks(blocks: str | int) -> Blocks:
    if blocks == "all":
        return "all"
    if blocks == "last":
        return 1
    if not str(blocks).isdecimal() or int(blocks) < 1:
        raise ConfigError(f"asked to train blocks {blocks!r}; give last, a number or all")
    return int(blocks)


FROM_SCRATCH = Recipe(
    start="random",
    freeze_bn=False,
    epochs=60,
    head_lr=1.0,
    lr=0.03,
    weight_decay=5e-4,
    label_smoothing=0.1,
    min_crop_area=0.35,
)
"""For random weights: the NO PRETRAIN columns; after decaf-mini's own training."""


def parse_recipe(
    words: str | Recipe,
    weights: str = "imagenet",
    *,
    labels: IntArray | None = None,
    selection: str = "fixed",
) -> Recipe:
    """Return the recipe of ``name=value`` pairs separated by commas.

    Parameters
    ----------
    words : str or Recipe
        Such as ``blocks=2,epochs=40,lr=1e-3``; what is not named is `Recipe`'s default, or that of
        `FROM_SCRATCH`. ``blocks`` is a number of last blocks, ``last`` or ``all``. A recipe is
        taken as it is.
    weights : str
        ``random`` for `FROM_SCRATCH`.
    labels : numpy.ndarray, optional
        Those that will be trained on.
    selection : str
        How the protocol chooses C, see `decaf.protocols.Selection`: where it sets rows aside for
        that, these choose the epoch too.

    Raises
    ------
    ConfigError
        If a name is unknown or repeated, a value of another kind, or of no use.
    """
    if isinstance(words, Recipe):
        given = {f.name: v for f in fields(Recipe) if (v := getattr(words, f.name)) != f.default}
        recipe = words
    else:
        given = _parse_words(words)
        recipe = replace(FROM_SCRATCH if weights == "random" else Recipe(), **given)
    unused = {
        "min_crop_area": recipe.crops == 1 and "crops=1 draws no crops",
        "lr_decay": recipe.blocks == 1 and "a single block is trained",
        "label_smoothing": labels is not None
        and labels.ndim == 2
        and "the images have several labels",
        "validation": selection in {"holdout", "kfold", "official"}
        and "the protocol says which images validate",
    }
    for name, why in unused.items():
        if why and name in given:
            raise ConfigError(f"asked for {name} in a recipe, but {why}; leave it out")
    return recipe


def _parse_words(words: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    kinds = {f.name: type(f.default) for f in fields(Recipe)}
    for pair in filter(None, (word.strip() for word in words.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in kinds:
            raise ConfigError(
                f"unknown part {pair!r} of a recipe; {did_you_mean(name, kinds)}choose from: "
                f"{', '.join(kinds)}"
            )
        if name in given:
            raise ConfigError(f"{name} stands twice in the recipe {words!r}; say it once")
        try:
            read = _parse_blocks if name == "blocks" else _KINDS[kinds[name]]
            given[name] = read(value)
        except (KeyError, ValueError) as error:
            found = kinds[name].__name__
            raise ConfigError(f"{name} of a recipe is of type {found}, found {value!r}") from error
    return given


def _yes(word: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
        word.lower()
    ]


_KINDS: dict[type, Callable[[str], object]] = {int: int, float: float, str: str, bool: _yes}


def refuse_without_head(heads: Sequence[str], words: str | Recipe) -> None:
    """Refuse what is said of fine-tuning where no head is fine-tuned.

    Raises
    ------
    ConfigError
        If the head is missing.
    """
    if "finetune" not in heads and words != "":
        raise ConfigError(
            f"asked for recipe without the head finetune, found the heads {', '.join(heads)}; add "
            "finetune to the heads or leave it out"
        )
