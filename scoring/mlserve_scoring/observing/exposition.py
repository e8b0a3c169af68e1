"""The text format of Prometheus, version 0.0.4: one metric's lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def family(name: str, kind: str, text: str, samples: Iterable[tuple[str, Labels, float]]) -> str:
    """Return the lines of one metric.

    Args:
        name: Of the metric.
        kind: ``counter``, ``gauge`` or ``histogram``.
        text: What it means.
        samples: What follows the name, such as ``_sum``, the labels, and the value of each line.
    """
    lines = [f"# HELP {name} {_escaped(text)}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{suffix}{_labels(labels)} {number(value)}" for suffix, labels, value in samples]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Return a value as the format writes it; whole ones without a fraction."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124  # NaN is not itself
        return {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value, "NaN")
    return str(int(value)) if value == int(value) else repr(value)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items()) + "}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
