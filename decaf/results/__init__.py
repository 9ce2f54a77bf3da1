"""Results: one row per split, aggregated over splits only here, written as tidy CSV files."""

from decaf.results.journal import Journal
from decaf.results.rows import Aggregate, Result
from decaf.results.table import ResultTable, read_beside, read_results

__all__ = ["Aggregate", "Journal", "Result", "ResultTable", "read_beside", "read_results"]
