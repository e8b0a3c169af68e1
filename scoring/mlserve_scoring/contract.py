"""What a service accepts and returns, as plain JSON: schemas of input and output, sample requests with their answers.

Standard library only: the image builder imports this module too. How a contract is found is left to the scorers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, cast

SCHEMA: Final = 1
SOURCES: Final = ("decorators", "samples", "model", "none")

Source = Literal["decorators", "samples", "model", "none"]
JsonObject = dict[str, object]


class Absent(Enum):
    """The type of ``ABSENT``, which tells "no output given" from an output of ``null``."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class ContractError(ValueError):
    """A contract or sample is not of the documented form; the message names the place."""


@dataclass(frozen=True)
class Sample:
    """One request body as JSON and, where known, the JSON it is answered with.

    Attributes:
        input: The body of ``POST /score``.
        output: The answer to it; ``ABSENT`` when nobody said what it must be.
    """

    input: object
    output: object = ABSENT

    @property
    def has_output(self) -> bool:
        """Return whether an answer was declared; ``null`` is one."""
        return self.output is not ABSENT

    def to_json(self) -> JsonObject:
        """Return the sample as the JSON object that manifests and contracts hold."""
        return {"input": self.input, "output": self.output} if self.has_output else {"input": self.input}

    @classmethod
    def from_json(cls, value: object, path: str = "sample") -> Sample:
        """Return the sample that a JSON object describes.

        Raises:
            ContractError: It is not an object with ``input`` and at most ``output`` beside it.
        """
        if not isinstance(value, Mapping) or "input" not in value:
            raise ContractError(f'{path}: is no sample, got {_short(value)}; write {{"input": ..., "output": ...}}')
        unknown = sorted(set(value) - {"input", "output"})
        if unknown:
            raise ContractError(f"{path}: unknown key {unknown[0]!r}; a sample has 'input' and, if wished, 'output'")
        return cls(value["input"], value.get("output", ABSENT))


@dataclass(frozen=True)
class Contract:
    """What a service accepts and returns.

    Attributes:
        input: JSON Schema of the request body; empty when nothing is known.
        output: JSON Schema of the answer; empty when nothing is known.
        samples: Requests that the service answers, with the answers it gave.
        source: Where the schemas come from.
    """

    input: JsonObject
    output: JsonObject
    samples: tuple[Sample, ...] = ()
    source: Source = "none"

    def to_json(self) -> JsonObject:
        """Return the contract as the JSON object that manifests and verdicts hold."""
        return {
            "schema": SCHEMA,
            "input": self.input,
            "output": self.output,
            "samples": [sample.to_json() for sample in self.samples],
            "source": self.source,
        }

    @classmethod
    def from_json(cls, value: object, path: str = "contract") -> Contract:
        """Return the contract that a JSON object describes.

        Raises:
            ContractError: The object is of another form, or of a newer schema.
        """
        if not isinstance(value, Mapping):
            raise ContractError(f"{path}: is no object, got {_short(value)}")
        if value.get("schema") != SCHEMA:
            raise ContractError(
                f"{path}.schema: is not known here, got {value.get('schema')!r}; this runtime reads schema {SCHEMA}"
            )
        for key in ("input", "output"):
            if not isinstance(value.get(key), Mapping):
                raise ContractError(f"{path}.{key}: is no JSON Schema object, got {_short(value.get(key))}")
        if value.get("source") not in SOURCES:
            raise ContractError(f"{path}.source: must be one of {', '.join(SOURCES)}, got {value.get('source')!r}")
        return cls(
            input=dict(value["input"]),
            output=dict(value["output"]),
            samples=samples_from_json(value.get("samples", ()), f"{path}.samples"),
            source=cast("Source", value["source"]),
        )


def kind_of(schema: Mapping[str, object]) -> str | None:
    """Return the one JSON type that a schema allows, ``null`` aside; ``None`` where it names none or several."""
    given = schema.get("type")
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]
    return str(kinds[0]) if len(kinds) == 1 and kinds[0] is not None else None


def nullable(schema: JsonObject) -> JsonObject:
    """Return a schema that allows ``null`` too."""
    given = schema.get("type")
    kinds = given if isinstance(given, list) else [given]
    return schema if given is None or "null" in kinds else {**schema, "type": [*kinds, "null"]}


def samples_from_json(value: object, path: str = "samples") -> tuple[Sample, ...]:
    """Return the samples in a JSON list.

    Raises:
        ContractError: It is no list, or an entry is no sample.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ContractError(f"{path}: is no list of samples, got {_short(value)}")
    return tuple(Sample.from_json(entry, f"{path}[{number}]") for number, entry in enumerate(value))


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
