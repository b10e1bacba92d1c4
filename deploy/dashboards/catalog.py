"""All dashboards, and where their files are."""

from pathlib import Path
from typing import Final

from deploy.dashboards.collectors import COLLECTORS
from deploy.dashboards.freshness import FRESHNESS
from deploy.dashboards.gateway import GATEWAY
from deploy.dashboards.nats import NATS
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.postgres import POSTGRES
from deploy.dashboards.resources import RESOURCES

FOLDER: Final = Path(__file__).resolve().parent.parent / "grafana" / "dashboards"
DASHBOARDS: Final = (OVERVIEW, GATEWAY, COLLECTORS, FRESHNESS, POSTGRES, NATS, RESOURCES)
