"""The ``mlserve`` command."""
