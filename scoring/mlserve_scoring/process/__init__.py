"""The life of a process: settings to readiness, hand-over, drain; and the trial of an image."""
