"""NATS: as our processes see it, and as it sees itself."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, quantile

_EXPORTER: Final = "prometheus-nats-exporter (-varz -jsz=all)"

NATS: Final = Dashboard(
    "nats",
    "NATS",
    "Streams, their room, and the server.",
    [
        Row(
            "As our processes see it",
            [
                Panel(
                    title="Connected",
                    about="1 while it is.",
                    queries=[Query(f"nats_connected{{{INSTANCE}}}", "{{job}} {{instance}}")],
                    runbook=["NatsAway"],
                ),
                Panel(
                    title="Reconnections",
                    about="In the last 5 minutes.",
                    queries=[
                        Query(
                            f"sum by (job, instance) (increase(nats_reconnects_total{{{INSTANCE}}}[5m]))",
                            "{{job}} {{instance}}",
                        )
                    ],
                    runbook=["NatsAway"],
                ),
                Panel(
                    title="Publishing a message",
                    about="The server answers after its disk: a slow one shows here first.",
                    queries=[Query(quantile(0.99, "gateway_publish_duration_seconds", where=INSTANCE), "99 %")],
                    unit="s",
                    warn_at=0.5,
                    bad_at=2.5,
                    runbook=["RequestsSlow"],
                ),
                Panel(
                    title="Messages in each stream",
                    about="Stored ones too: they are kept for replay.",
                    queries=[Query("max by (stream) (nats_stream_messages)", "{{stream}}")],
                ),
                Panel(
                    title="Bytes in each stream",
                    about="And how many it may hold.",
                    queries=[Query("max by (stream) (nats_stream_bytes)", "{{stream}}")],
                    unit="bytes",
                ),
                Panel(
                    title="Of what it may hold",
                    about="A source's stream is full by design, and drops what is stored. DEAD_LETTERS never drops: "
                    "full, it stops the collectors.",
                    queries=[
                        Query(
                            "max by (stream) (nats_stream_bytes) / max by (stream) (nats_stream_limit_bytes)",
                            "{{stream}}",
                        )
                    ],
                    unit="percentunit",
                    warn_at=0.8,
                    bad_at=0.95,
                    runbook=["DeadLettersFull"],
                ),
            ],
        ),
        Row(
            "As the server sees itself",
            [
                Panel(
                    title="Disk of the streams",
                    about="Used, of max_file_store.",
                    queries=[
                        Query(
                            "max by (server_name) (jetstream_server_total_message_bytes"
                            " / jetstream_server_max_storage)",
                            "{{server_name}}",
                        )
                    ],
                    unit="percentunit",
                    warn_at=0.7,
                    bad_at=0.85,
                    exporter=_EXPORTER,
                    runbook=["StreamDiskFull"],
                ),
                Panel(
                    title="Messages in and out",
                    about="Of the whole server, others' too.",
                    queries=[
                        Query("sum by (server_id) (rate(gnatsd_varz_in_msgs[$__rate_interval]))", "in {{server_id}}"),
                        Query("sum by (server_id) (rate(gnatsd_varz_out_msgs[$__rate_interval]))", "out {{server_id}}"),
                    ],
                    unit="cps",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Connections, and slow consumers",
                    about="A slow consumer is a client that was cut off as it did not read.",
                    queries=[
                        Query("gnatsd_varz_connections", "connections {{server_id}}"),
                        Query("gnatsd_varz_slow_consumers", "slow consumers {{server_id}}"),
                    ],
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Memory",
                    about="Resident.",
                    queries=[Query("gnatsd_varz_mem", "{{server_id}}")],
                    unit="bytes",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Consumers: waiting, and delivered but not acknowledged",
                    about="As many as CONSUMER_MAX_ACK_PENDING unacknowledged: the collectors hold all they may.",
                    queries=[
                        Query("max by (stream_name) (jetstream_consumer_num_pending)", "{{stream_name}} waiting"),
                        Query(
                            "max by (stream_name) (jetstream_consumer_num_ack_pending)",
                            "{{stream_name}} unacknowledged",
                        ),
                    ],
                    exporter=_EXPORTER,
                    runbook=["BacklogGrowing"],
                ),
                Panel(
                    title="Messages taken in a second, by stream",
                    about="By its last sequence.",
                    queries=[
                        Query(
                            "max by (stream_name) (rate(jetstream_stream_last_seq[$__rate_interval]))",
                            "{{stream_name}}",
                        )
                    ],
                    unit="cps",
                    exporter=_EXPORTER,
                ),
            ],
        ),
    ],
)
