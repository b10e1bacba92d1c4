"""A plan as text, with all that it rests on; or as JSON. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from loadtest.plan.costs import Assumptions, Costs
from loadtest.plan.model import GB, Load, Node, Plan, Point

_LINE: Final = "  {:<34} {:>14}  {}"


def as_json(load: Load, node: Node, costs: Costs, assumed: Assumptions, plan: Plan) -> Mapping[str, Any]:
    """Everything, in camelCase where it is a result."""
    return {
        "load": asdict(load),
        "node": asdict(node),
        "costs": asdict(costs),
        "assumptions": asdict(assumed),
        "partitions": plan.partitions,
        "gatewayProcesses": plan.gateway_processes,
        "collectorsPerSource": plan.collectors_per_source,
        "streamBytesPerStream": plan.stream_bytes_per_stream,
        "tableBytesPerDay": plan.table_bytes_per_day,
        "parts": {
            part.name: {
                "nodes": part.nodes,
                "tightest": part.tightest.resource,
                "needs": {need.resource: {"needed": need.needed, "unit": need.unit} for need in part.needs},
            }
            for part in plan.parts
        },
        "limits": [asdict(limit) for limit in plan.limits],
    }


def lines(load: Load, node: Node, costs: Costs, assumed: Assumptions, plan: Plan) -> Iterator[str]:
    """For a person."""
    yield (
        f"{load.events_per_s:,.0f} events/s of {load.event_bytes:,.0f} bytes, {load.sources} sources, "
        f"{load.retention_days:g} days in the streams ({load.replicas} replicas), "
        f"{load.table_days:g} days in the tables"
    )
    yield ""
    yield "What it takes"
    for part in plan.parts:
        yield _LINE.format(part.name, f"{part.nodes:,} nodes", f"by {part.tightest.resource}")
        for need in part.needs:
            yield _LINE.format("", f"{need.needed:,.1f}", f"{need.unit} of {need.resource}: {need.nodes:,.2f} nodes")
    yield _LINE.format("gateway processes", f"{plan.gateway_processes:,}", "one core each")
    yield _LINE.format("PARTITIONS", f"{plan.partitions:,}", "streams a source")
    yield _LINE.format("collectors a source", f"{plan.collectors_per_source:,}", "one core each, in a pool a partition")
    yield _LINE.format(
        "STREAM_MAX_BYTES", f"{plan.stream_bytes_per_stream / GB:,.0f} GB", "of each stream, before replicas"
    )
    yield _LINE.format("tables grow by", f"{plan.table_bytes_per_day / GB:,.0f} GB", "a day, indexes included")
    yield ""
    yield "Which part saturates first, as load grows (one of each, all of it used)"
    for limit in plan.limits:
        yield _LINE.format(limit.name, f"{limit.events_per_s:,.0f}", "events/s")
    yield ""
    yield f"Measured ({costs.measured_at}), CPU s per million events"
    for name, cost in (
        ("gateway", costs.gateway_cpu_s),
        ("NATS, one copy", costs.nats_cpu_s),
        ("collectors", costs.collector_cpu_s),
        ("PostgreSQL, tables new", costs.postgres_cpu_s),
    ):
        yield _LINE.format(name, f"{cost:,.2f}", "").rstrip()
    yield ""
    yield "Assumed; a node"
    for name, value in (*asdict(node).items(), *asdict(assumed).items()):
        yield _LINE.format(name.replace("_", " "), f"{value:,g}", "").rstrip()


def machine_lines(points: Sequence[tuple[Point, float]]) -> Iterator[str]:
    """What one machine bears, a line a point."""
    yield f"{'gateways':>10} {'collectors a source':>20} {'events/s':>12}"
    for point, rate in points:
        yield f"{point.gateways:>10} {point.collectors_per_source:>20} {rate:>12,.0f}"
