"""What each path answers: the one place that chooses statuses and headers. Knows no sockets."""
