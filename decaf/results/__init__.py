"""Results: one row per split, aggregated over splits only here, written as tidy CSV files."""

from decaf.results.chosen_settings import ChosenSetting, SearchTable
from decaf.results.journal import Journal
from decaf.results.rows import Aggregate, Result
from decaf.results.table import ResultTable, read_beside, read_results

__all__ = [
    "Aggregate",
    "ChosenSetting",
    "Journal",
    "Result",
    "ResultTable",
    "SearchTable",
    "read_beside",
    "read_results",
]
