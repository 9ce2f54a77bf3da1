"""How extraction runs: on this machine's threads, on its GPUs."""

from decaf.engines.batch_size import tuned
from decaf.engines.fill import ToFill, fill, fill_together
from decaf.engines.local import run
from decaf.engines.patch_plan import as_patches
from decaf.engines.plan import Plan, RegionRoute, StageSeconds
from decaf.engines.planning import make_plan, n_features, provenance, shard_rows
from decaf.engines.ray_engine import fill_with_ray
from decaf.engines.region_pass import region_route
from decaf.engines.stored import find_start
from decaf.engines.wanted import found_or_to_fill

__all__ = [
    "Plan",
    "RegionRoute",
    "StageSeconds",
    "ToFill",
    "as_patches",
    "fill",
    "fill_together",
    "fill_with_ray",
    "find_start",
    "found_or_to_fill",
    "make_plan",
    "n_features",
    "provenance",
    "region_route",
    "run",
    "shard_rows",
    "tuned",
]
