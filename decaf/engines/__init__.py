"""How extraction runs: on this machine's threads, on its GPUs."""

from decaf.engines.batch_size import tuned
from decaf.engines.fill import fill
from decaf.engines.fresh import Found, find_fresh
from decaf.engines.local import run
from decaf.engines.patch_plan import as_patches
from decaf.engines.plan import Plan, StageSeconds
from decaf.engines.planning import make_plan, n_features, provenance, shard_rows
from decaf.engines.ray_engine import fill_with_ray
from decaf.engines.stored import find_start

__all__ = [
    "Found",
    "Plan",
    "StageSeconds",
    "as_patches",
    "fill",
    "fill_with_ray",
    "find_fresh",
    "find_start",
    "make_plan",
    "n_features",
    "provenance",
    "run",
    "shard_rows",
    "tuned",
]
