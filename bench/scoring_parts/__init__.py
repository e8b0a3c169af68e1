"""What `bench/scoring.py` is made of: environments, models, servers, load, figures."""
