"""Recipes: what is read, what is refused, and the rate over a run."""

from dataclasses import replace

import numpy as np
import pytest

from decaf.errors import ConfigError
from decaf.finetuning import FROM_SCRATCH, Recipe, parse_recipe, refuse_without_head
from decaf.finetuning.schedule import rate_factor


def test_a_recipe_is_read_from_words() -> None:
    recipe = parse_recipe(" epochs=7, lr=1e-3,schedule=step,refit=no,blocks=all ")
    assert recipe == Recipe(epochs=7, lr=1e-3, schedule="step", refit=False, blocks="all")
    assert parse_recipe("") == Recipe()
    assert parse_recipe(Recipe(epochs=9, blocks=2)) == Recipe(epochs=9, blocks=2)


def test_random_weights_have_a_recipe_of_their_own() -> None:
    recipe = parse_recipe("epochs=7,blocks=all", "random")
    assert recipe == replace(FROM_SCRATCH, epochs=7, blocks="all")
    assert (recipe.start, recipe.freeze_bn) == ("random", False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "epoch=7",
            "unknown part 'epoch=7' of a recipe; did you mean 'epochs'. choose from: blocks",
        ),
        ("epochs=many", "epochs of a recipe is of type int, found 'many'"),
        ("refit=perhaps", "refit of a recipe is of type bool"),
        ("epochs=0", "epochs is 1 or more"),
        ("momentum=1", "momentum is from 0 to below 1"),
        ("lr=0", "lr is above 0"),
        ("min_crop_area=1.5", "area is at most 1"),
        ("schedule=linear", "unknown schedule 'linear'; choose one of: cosine, step"),
        ("start=knn", "unknown start 'knn'; choose one of: svm, logreg, random"),
        ("statistics=moving", "unknown part 'statistics=moving'"),
        ("weight_decay=nan", "weight_decay 0 or more"),
        ("weight_decay=inf", "weight_decay 0 or more"),
        ("lr=inf", "lr is above 0 and finite"),
        ("head_lr=nan", "head_lr is above 0"),
        ("dropout=nan", "dropout is from 0 to below 1"),
        ("epochs=3,lr=1,epochs=4", "epochs stands twice in the recipe"),
        (
            "min_crop_area=0.5,crops=1",
            "asked for min_crop_area in a recipe, but crops=1 draws no crops",
        ),
        ("lr_decay=0.5", "asked for lr_decay in a recipe, but a single block is trained"),
    ],
)
def test_what_a_recipe_cannot_be(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe(words)


def test_blocks_in_words() -> None:
    found = [parse_recipe(f"blocks={word}").blocks for word in ("last", "all", "3")]
    assert found == [1, "all", 3]
    assert parse_recipe(Recipe(blocks=3)).blocks == 3
    with pytest.raises(ConfigError, match="asked to train blocks '0'; give last, a number or all"):
        parse_recipe("blocks=0")


def test_the_rate_warms_up_and_falls() -> None:
    cosine = Recipe(warmup=0.2)
    found = [rate_factor(cosine, part) for part in (0, 0.1, 0.2, 0.6, 1)]
    np.testing.assert_allclose(found, [0, 0.5, 1, 0.5, 0], atol=1e-12)
    step = Recipe(warmup=0, schedule="step")
    found = [rate_factor(step, part) for part in (0, 0.3, 0.5, 0.7, 0.95)]
    np.testing.assert_allclose(found, [1, 1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("values", [{"epochs": 1.5}, {"batch_size": 0}, {"blocks": 0}])
def test_numbers_of_a_recipe_are_whole(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"whole number|blocks"):
        Recipe(**values)


def test_what_is_said_of_fine_tuning_needs_the_head() -> None:
    refuse_without_head(["svm"], "")
    refuse_without_head(["svm", "finetune"], "blocks=2,epochs=3")
    with pytest.raises(ConfigError, match="asked for recipe without the head finetune, found the"):
        refuse_without_head(["svm", "knn"], "epochs=3")
    with pytest.raises(ConfigError, match="asked for recipe without the head finetune"):
        refuse_without_head(["svm"], "blocks=all")
    with pytest.raises(ConfigError, match="asked for recipe"):
        refuse_without_head(["svm"], Recipe())


def test_parts_of_a_recipe_that_the_data_or_the_protocol_leave_unused_are_refused() -> None:
    several = np.ones((4, 2), np.int8)
    for words in ("label_smoothing=0.1", Recipe(label_smoothing=0.1)):
        parse_recipe(words, labels=several[:, 0])
        with pytest.raises(
            ConfigError, match=r"asked for label_smoothing .* the images have several"
        ):
            parse_recipe(words, labels=several)
    parse_recipe("", "random", labels=several)  # a default is not asked for
    for words in ("validation=0.3", Recipe(validation=0.3)):
        parse_recipe(words, selection="fixed")
        with pytest.raises(ConfigError, match=r"asked for validation .* which images validate"):
            parse_recipe(words, selection="kfold")
    with pytest.raises(ConfigError, match="asked for min_crop_area"):
        parse_recipe(Recipe(min_crop_area=0.5, crops=1))
