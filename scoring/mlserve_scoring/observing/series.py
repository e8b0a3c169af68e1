"""Every metric that is one number for each worker: its name, kind and meaning. The others are ``requests``'s.

The order is the layout of the shared memory: all workers of a service run the same code, so it is the same for all.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Series(NamedTuple):
    """One metric.

    Attributes:
        name: As Prometheus knows it.
        kind: ``counter`` or ``gauge``.
        help: What it means.
        over_workers: ``sum``, or ``min`` where a sum would mean nothing.
    """

    name: str
    kind: str
    help: str
    over_workers: str = "sum"


SERIES: Final = (
    Series("mlserve_requests_in_flight", "gauge", "Connections on which a request is being read or answered."),
    Series("mlserve_requests_waiting", "gauge", "Requests that wait for their turn to run."),
    Series("mlserve_connections_open", "gauge", "Open connections."),
    Series("mlserve_queue_refusals_total", "counter", "Requests refused since the queue was full or too slow."),
    Series("mlserve_scoring_timeouts_total", "counter", "Requests whose run took longer than the scoring timeout."),
    Series("mlserve_request_bytes_total", "counter", "Bytes of request bodies."),
    Series("mlserve_reply_bytes_total", "counter", "Bytes of reply bodies."),
    Series("mlserve_worker_restarts_total", "counter", "Workers started again after they had ended."),
    Series("mlserve_threads_lost", "gauge", "Threads held by runs that do not end; others have taken their places."),
    Series("mlserve_collection_rows_total", "counter", "Collected records written."),
    Series("mlserve_collection_lost_total", "counter", "Collected records that were lost."),
    Series("mlserve_log_lines_lost_total", "counter", "Log lines lost since nobody read them in time."),
    Series("mlserve_telemetry_sent_total", "counter", "Spans and log records sent."),
    Series("mlserve_telemetry_lost_total", "counter", "Spans and log records that were lost."),
    Series("process_resident_memory_bytes", "gauge", "Resident memory."),
    Series("process_cpu_seconds_total", "counter", "Processor time, of user and system."),
    Series("process_open_fds", "gauge", "Open file descriptors."),
    Series("process_start_time_seconds", "gauge", "Start, in seconds since 1970; of the oldest worker.", "min"),
)
