"""The Grafana dashboards, as data. `make reference` writes them to deploy/grafana/dashboards/, which Grafana reads."""
