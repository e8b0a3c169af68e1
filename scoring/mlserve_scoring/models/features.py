"""What an estimator of scikit-learn was fitted on, as far as it tells: names of columns, and which hold texts.

Estimators remember names and numbers of columns, not their types. What encoders and text vectorisers were fitted on
tells the rest; all other columns are numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.port_schema import zero_sample

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject

NAME: Final = "data"  # of an input that has no name of its own, as in v1's samples
_VECTORISERS: Final = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_PASSED: Final = ("SimpleImputer", "IterativeImputer", "KNNImputer", "FunctionTransformer", "MissingIndicator")
_MANY_WORDS: Final = 50
_DTYPES: Final[dict[type, str]] = {str: "object", int: "int64", bool: "bool", float: "float64"}


class Column(NamedTuple):
    """What a column holds.

    Attributes:
        dtype: As in ``Port``.
        words: What an encoder knows.
        is_nullable: Whether nothing is a value.
    """

    dtype: str = "float64"
    words: tuple[object, ...] = ()
    is_nullable: bool = False


class Features(NamedTuple):
    """What an estimator takes.

    Attributes:
        ports: Its inputs: one for each column where columns differ, else one table or list.
        names: The columns of the data frame that it was fitted on; empty for an array.
        sample: A body that it may answer.
    """

    ports: tuple[Port, ...]
    names: tuple[str, ...]
    sample: JsonObject | None


def features_of(estimator: Any, categories: Mapping[str, Sequence[object]] | None = None) -> Features:
    """Return what a fitted estimator takes.

    Args:
        estimator: Any that predicts.
        categories: Columns of pandas' type for categories, with their words.
    """
    listed = _listed(estimator)
    if listed is not None:
        sample: JsonObject = {NAME: [listed.example]}
        return Features((listed,), (), sample)
    names = tuple(str(name) for name in _names(estimator))
    count = _count(estimator, names)
    found = dict(_columns(estimator, range(count or 0), names))
    found |= {names.index(name): category_column(words) for name, words in (categories or {}).items() if name in names}
    columns = [found.get(number, Column()) for number in range(count or 0)]
    if names and any(column != Column() for column in columns):
        ports = tuple(port_of(name, column) for name, column in zip(names, columns, strict=True))
        return Features(ports, names, zero_sample(ports))
    kinds = {column.dtype for column in columns} or {"float64"}
    dtype = kinds.pop() if len(kinds) == 1 else ""
    port = Port(NAME, dtype, (None, count), columns=names, is_nullable=any(column.is_nullable for column in columns))
    row = [port_of("", column) for column in columns]
    return Features((port,), names, _row_sample(row) if not names and row else zero_sample((port,)))


def port_of(name: str, column: Column) -> Port:
    """Return the input that one column of a data frame is."""
    known = tuple(word for word in column.words if not _is_nothing(word))
    return Port(
        name,
        column.dtype,
        (None,),
        is_nullable=column.is_nullable,
        is_column=True,
        example=known[0] if known else None,
        words=known if len(known) <= _MANY_WORDS else (),
    )


def category_column(words: Sequence[object]) -> Column:
    """Return what a column of pandas' type for categories holds: numbers when it has no words and is none."""
    if not words:
        return Column()
    is_text = all(isinstance(word, str) for word in words)
    return Column("object" if is_text else "", tuple(words), is_nullable=True)


def column_of(words: Sequence[object]) -> Column:
    """Return what a column holds whose values are known."""
    plain = tuple(word.item() if isinstance(word, np.generic) else word for word in words)
    known = [word for word in plain if not _is_nothing(word)]
    kinds = {type(word) for word in known}
    dtype = _DTYPES.get(kinds.pop(), "") if len(kinds) == 1 else ""
    has_nothing = len(known) < len(plain)
    return Column("float64" if dtype == "int64" and has_nothing else dtype, plain, is_nullable=has_nothing)


def _row_sample(ports: Sequence[Port]) -> JsonObject:
    row = [next(iter((zero_sample((port,)) or {}).values())) for port in ports]
    return {NAME: [[cell[0] for cell in row if isinstance(cell, list)]]}


def _listed(estimator: Any) -> Port | None:
    """Return the input of an estimator that takes a plain list: of texts, or of dictionaries."""
    first = next(_steps(estimator), None)
    if type(first).__name__ == "FeatureUnion":
        return _listed(first.transformer_list[0][1])  # type: ignore[union-attr]  # an estimator, which has no types
    if type(first).__name__ in _VECTORISERS:
        return Port(NAME, "object", (None,), example="")
    if type(first).__name__ == "DictVectorizer":
        return Port(NAME, "", (None,), example={}, note="objects with the features by name")
    return None


def _steps(estimator: Any) -> Iterator[Any]:
    """Yield the estimators that see the columns as they came in, outer ones left out."""
    inner = getattr(estimator, "best_estimator_", None) or getattr(estimator, "estimator_", None)
    if inner is not None and not hasattr(estimator, "steps"):
        yield from _steps(inner)
        return
    if not hasattr(estimator, "steps"):
        yield estimator
        return
    for _, step in estimator.steps:
        if isinstance(step, str) or step is None:
            continue
        yield from _steps(step)
        if type(step).__name__ not in _PASSED:
            return


def _names(estimator: Any) -> Sequence[object]:
    try:
        names = getattr(estimator, "feature_names_in_", None)
        return () if names is None else list(names)
    except (AttributeError, ValueError):
        return ()


def _count(estimator: Any, names: Sequence[str]) -> int | None:
    try:
        count = getattr(estimator, "n_features_in_", None)
    except AttributeError:
        count = None
    return int(count) if count is not None else len(names) or None


def _columns(estimator: Any, numbers: Sequence[int], names: Sequence[str]) -> Iterator[tuple[int, Column]]:
    """Yield what is known of columns, by their numbers in the whole input."""
    is_filled = False
    for step in _steps(estimator):
        name = type(step).__name__
        if name not in _PASSED:
            for number, column in _encoded(step, numbers, names):
                yield number, column._replace(is_nullable=column.is_nullable or is_filled)
            continue
        is_filled |= name.endswith("Imputer")
        fitted_on = getattr(step, "_fit_dtype", None)
        if name == "FunctionTransformer" or (fitted_on is not None and fitted_on.kind == "O"):
            yield from ((number, Column("", is_nullable=is_filled)) for number in numbers)


def _encoded(step: Any, numbers: Sequence[int], names: Sequence[str]) -> Iterator[tuple[int, Column]]:
    """Yield what an encoder, a vectoriser, or those inside of a transformer of columns were fitted on."""
    inner = getattr(step, "_preprocessor", None)  # of histogram boosting: nothing else tells its categories
    if hasattr(inner, "transformers_"):
        yield from (known for known in _encoded(inner, numbers, names) if known[1].dtype)
    elif hasattr(step, "transformers_"):
        for _, transformer, chosen in step.transformers_:
            if transformer is not None and not isinstance(transformer, str):
                yield from _columns(transformer, _chosen(chosen, numbers, names), names)
    elif isinstance(getattr(step, "categories_", None), list):
        yield from ((n, column_of(list(words))) for n, words in zip(numbers, step.categories_, strict=False))
    elif type(step).__name__ in _VECTORISERS:
        yield from ((number, Column("object")) for number in numbers)


def _chosen(chosen: Any, numbers: Sequence[int], names: Sequence[str]) -> list[int]:
    """Return the numbers of the columns that a transformer was given: by name, number, slice or mask."""
    if isinstance(chosen, str):
        chosen = [chosen]
    if isinstance(chosen, (int, np.integer)):
        chosen = [int(chosen)]
    if isinstance(chosen, slice) and not isinstance(chosen.start, str) and not isinstance(chosen.stop, str):
        return list(numbers)[chosen]
    if isinstance(chosen, slice):
        start = names.index(chosen.start) if chosen.start in names else 0
        stop = names.index(chosen.stop) + 1 if chosen.stop in names else len(names)
        return list(numbers)[start:stop]
    listed = list(chosen)
    if listed and all(isinstance(entry, (bool, np.bool_)) for entry in listed):
        return [number for number, is_chosen in zip(numbers, listed, strict=True) if is_chosen]
    place: Mapping[str, int] = {name: number for number, name in enumerate(names)}
    return [place[entry] if isinstance(entry, str) else list(numbers)[int(entry)] for entry in listed]


def _is_nothing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124  # NaN
