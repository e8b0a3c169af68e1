"""What answers a scoring request, whatever is behind it: the interface, threads, results, samples."""
