"""How extraction runs: on this machine's threads, on its GPU."""

from decaf.engines.local import n_cores, run
from decaf.engines.plan import Plan, StageSeconds

__all__ = ["Plan", "StageSeconds", "n_cores", "run"]
