"""The few forms of PromQL that the panels are written in."""

from typing import Final

SOURCE: Final = 'source=~"$source"'
INSTANCE: Final = 'instance=~"$instance"'


def rate(metric: str, *, by: str = "", where: str = SOURCE) -> str:
    """Growth a second of a counter, added up; a series for each value of the labels `by`."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *, by: str = "", where: str = SOURCE) -> str:
    """The value that `share` of a histogram's observations of late do not exceed."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', by=labels, where=where)})"


def most(metric: str, *, by: str = "", where: str = SOURCE) -> str:
    """The largest of a gauge that several processes tell of the same thing."""
    grouped = f" by ({by})" if by else ""
    return f"max{grouped} ({metric}{{{where}}})"


def mean(histogram: str, *, by: str = "", where: str = SOURCE) -> str:
    """The mean of a histogram's observations of late."""
    return f"{rate(f'{histogram}_sum', by=by, where=where)} / {rate(f'{histogram}_count', by=by, where=where)}"
