"""Fine-tuning: a net's last blocks, or all of it, trained together with a head."""

from decaf.finetuning.fit import FineTuning, name_stopped, tuning_precision
from decaf.finetuning.recipe import FROM_SCRATCH, Recipe, parse_recipe, refuse_without_head
from decaf.finetuning.samples import TrainingImages, rule_images
from decaf.finetuning.start import Frozen
from decaf.finetuning.tuned import FINETUNE, FineTuned, row_numbers

__all__ = [
    "FINETUNE",
    "FROM_SCRATCH",
    "FineTuned",
    "FineTuning",
    "Frozen",
    "Recipe",
    "TrainingImages",
    "name_stopped",
    "parse_recipe",
    "refuse_without_head",
    "row_numbers",
    "rule_images",
    "tuning_precision",
]
