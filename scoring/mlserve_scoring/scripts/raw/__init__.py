"""What ``@rawhttp`` scripts read and return: Flask's request and response, as v1's scripts know them, without Flask."""

from typing import Final

FAILED: Final = "x-ms-run-function-failed"
