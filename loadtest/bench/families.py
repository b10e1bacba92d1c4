"""Families of processes that a benchmark tells apart beside those of the stack.

Apart from `loadtest.bench.processes`, as pages are drawn where psutil is not installed: in the image.
"""

from typing import Final

HARNESS: Final = "benchmark"
GENERATOR: Final = "generator"
OTHERS: Final = "other programs"
NOT_COUNTED: Final = frozenset({HARNESS, GENERATOR, OTHERS})
"""Not part of what is measured."""
