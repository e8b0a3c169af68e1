"""What a service tells about itself: metrics, log lines, traces. Off the hot path, bounded, losses counted."""
