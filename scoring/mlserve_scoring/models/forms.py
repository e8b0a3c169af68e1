"""The forms in which a JSON body may hold a model's inputs, brought to one: an entry for each input, with its place.

By name, columns, rows, records, pandas' ``split``, MLflow's ``dataframe_split``, ``dataframe_records``, ``inputs`` and
``instances``, Azure ML's ``input_data`` and ``Inputs`` with ``GlobalParameters``. Values are looked at in ``inputs``.
Tensors of the Open Inference Protocol are told from these here, and read in ``tensor_form``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeGuard

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.shown import short

Spot = Callable[[Sequence[int]], str]

ENVELOPES: Final = ("data", "inputs", "instances", "dataframe_split", "dataframe_records", "input_data", "Inputs")
_OF_V1: Final = "GlobalParameters"
_PARAMETERS: Final = ("params", _OF_V1)
_SPLITS: Final = ({"columns", "data"}, {"columns", "data", "index"})
_TENSORS: Final = frozenset({"inputs", "outputs", "parameters", "id", "model_name", "model_version"})
_TENSOR: Final = frozenset({"name", "shape", "datatype"})
_PREFIX: Final = "params."
_DEEPEST: Final = 3  # {"Inputs": {"data": {"columns": ...}}} is the deepest that anybody writes


class Entry(NamedTuple):
    """What a body holds for one input.

    Attributes:
        port: The input.
        value: Nested lists of its shape, if the caller kept to it.
        spot: Tells what a caller calls the value at given indices.
    """

    port: Port
    value: object
    spot: Spot


def entries_of(body: object, ports: Sequence[Port]) -> list[Entry]:
    """Return an entry for each input that a body holds; optional ones may be absent.

    Raises:
        InvalidRequestError: It is of no known form, or a name is unknown or missing; the text says which.
    """
    data = [port for port in ports if not port.is_parameter]
    if isinstance(body, list):
        return _listed(body, data, "")
    if not isinstance(body, Mapping):
        raise InvalidRequestError(f"expected an object with the inputs {_words(_names(data))} or an array of rows")
    own = {port.name for port in data} | {name for port in data for name in port.columns}
    given = {key: body[key] for key in _PARAMETERS if key in body and key not in own}
    rest = {key: entry for key, entry in body.items() if key not in given} if given else body
    parameters = [port for port in ports if port.is_parameter]
    return _held(rest, data, "") + [entry for key in given for entry in _parameters(given[key], parameters, key)]


def holds_tensors(body: object, ports: Sequence[Port]) -> TypeGuard[Mapping[str, object]]:
    """Return whether a body describes tensors as the Open Inference Protocol does, and cannot mean anything else."""
    sent = body.get("inputs") if isinstance(body, Mapping) and body.keys() <= _TENSORS else None
    first = sent[0] if isinstance(sent, list) and sent else None
    if not isinstance(first, Mapping) or not first.keys() >= _TENSOR:
        return False
    data = [port for port in ports if not port.is_parameter]
    names = _names(data)
    if first.keys() <= names.keys():
        return False  # a record of columns that are called so
    if len(data) == 1 and not data[0].dtype:
        return bool(first["name"] == data[0].name)  # its values may be objects
    return "inputs" not in names or bool(names["inputs"].dtype)  # as those of an input of any kind


def at(place: str) -> Spot:
    """Return a speller of places below one."""
    return lambda indices: (place + "".join(f"[{number}]" for number in indices)) or "body"


def _parameters(value: object, ports: Sequence[Port], place: str) -> list[Entry]:
    if value is None:
        return []
    if place == _OF_V1 and len(ports) <= 1 and not isinstance(value, (Mapping, list)):
        # Microsoft's samples for Power BI send 1.0, which scripts of automated ML declare and never look at.
        return [Entry(port, value, at(place)) for port in ports]
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{place}: expected an object{_got(value)}")
    known = {port.name[len(_PREFIX) :]: port for port in ports}
    for name in value:
        if name not in known:
            words = f"the parameters are {', '.join(known)}" if known else "the model has no parameters"
            raise InvalidRequestError(f"{place}.{name}: is no parameter; {words}")
    return [Entry(known[name], entry, at(f"{place}.{name}")) for name, entry in value.items()]


def _held(value: Mapping[str, object], ports: Sequence[Port], place: str, deeper: int = _DEEPEST) -> list[Entry]:
    """Read an object: inputs or columns by name, a split table, or one of the envelopes."""
    names = _names(ports)
    needed = [name for name, port in names.items() if not port.is_optional]
    if set(value) in _SPLITS and "columns" not in names:
        return _split(value, ports, place)
    if len(value) == 1 and deeper:
        (key,) = value
        is_whole = len(ports) == 1 and key == ports[0].name
        if is_whole or (key in ENVELOPES and key not in names):
            return _enveloped(value[key], ports, _below(place, key), deeper - 1, is_v1=key == "Inputs")
    if needed and all(name in value for name in needed):
        return _named(value, ports, names, place)
    if not needed and names.keys() >= value.keys():
        return _named(value, ports, names, place)
    missing = next((name for name in needed if name not in value), None)
    what = f"{_below(place, missing or next(iter(value)))}: is {'missing' if missing else 'no input'}"
    raise InvalidRequestError(f"{what}; send every input by name ({_words(names)}) or rows under 'data'")


def _enveloped(value: object, ports: Sequence[Port], place: str, deeper: int, *, is_v1: bool) -> list[Entry]:
    if not isinstance(value, Mapping):
        return _listed(value, ports, place)
    if is_v1 and len(value) == 1:
        (key,) = value
        if key not in _names(ports) and isinstance(value[key], list):  # {"Inputs": {"WebServiceInput0": [records]}}
            return _listed(value[key], ports, _below(place, key))
    return _held(value, ports, place, deeper)


def _listed(value: object, ports: Sequence[Port], place: str) -> list[Entry]:
    """Read what is no object: records, rows, or the one input itself."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and _is_record(value[0], ports):
        return _records(value, ports, place)
    if len(ports) == 1:
        if ports[0].is_column and isinstance(value, list) and _is_row(value[:1], ports[0]):
            return _by_number(_checked_rows(value, 1, place), ports, (0,), place)
        return [_column(value, ports[0], place)]
    names = ", ".join(port.name for port in ports)
    if not isinstance(value, list):
        raise InvalidRequestError(f"{place}: expected an array of rows")
    if not all(port.shape[1:] in ((), (1,)) and port.shape for port in ports):
        raise InvalidRequestError(f"{place or 'body'}: the model has several inputs; send them by name ({names})")
    rows = _checked_rows(value, len(ports), place)
    return _by_number(rows, ports, range(len(ports)), place)


def _checked_rows(value: list[object], width: int, place: str) -> list[list[object]]:
    rows: list[list[object]] = []
    for number, row in enumerate(value):
        if not isinstance(row, list) or len(row) != width:
            raise InvalidRequestError(f"{place}[{number}]: expected an array of {width} values{_got(row)}")
        rows.append(row)
    return rows


def _by_number(rows: list[list[object]], ports: Sequence[Port], order: Sequence[int], place: str) -> list[Entry]:
    """Return the entries of rows with a value for each port; ``order`` tells at which number a port's value stands."""
    return [
        Entry(port, [_cell(row[number], port) for row in rows], _in_row(place, number, port))
        for port, number in zip(ports, order, strict=True)
    ]


def _split(value: Mapping[str, object], ports: Sequence[Port], place: str) -> list[Entry]:
    """Read what pandas writes with ``orient="split"``; the columns may be in any order."""
    columns, rows, below = value["columns"], value["data"], _below(place, "data")
    if not isinstance(columns, list):
        raise InvalidRequestError(f"{_below(place, 'columns')}: expected an array of names{_got(columns)}")
    if not isinstance(rows, list):
        raise InvalidRequestError(f"{below}: expected an array of rows{_got(rows)}")
    if len(ports) == 1 and not ports[0].columns and len(ports[0].shape) > 1:  # an array: names say nothing
        return [Entry(ports[0], _checked_rows(rows, len(columns), below), at(below))]
    names = _names(ports)
    _check_names(columns, names, _below(place, "columns"))
    numbers = {name: number for number, name in enumerate(columns)}
    checked = _checked_rows(rows, len(columns), below)
    if len(ports) == 1 and ports[0].columns:
        order = [numbers[name] for name in ports[0].columns]
        table = [[row[number] for number in order] for row in checked]
        return [Entry(ports[0], table, lambda indices: at(below)(_moved(indices, order)))]
    present = [port for port in ports if port.name in numbers]
    return _by_number(checked, present, [numbers[port.name] for port in present], below)


def _records(value: list[object], ports: Sequence[Port], place: str) -> list[Entry]:
    names = _names(ports)
    rows: list[Mapping[str, object]] = []
    for number, row in enumerate(value):
        if not isinstance(row, Mapping):
            raise InvalidRequestError(f"{place}[{number}]: expected an object like the rows before{_got(row)}")
        if row.keys() != names.keys():
            _check_names(list(row), names, f"{place}[{number}]")
        rows.append(row)
    if len(ports) == 1 and ports[0].columns:
        port = ports[0]
        table = [[row[name] for name in port.columns] for row in rows]
        return [Entry(port, table, _in_record(place, port))]
    found = []
    for port in ports:
        has = [port.name in row for row in rows]
        if not any(has):
            continue
        if not all(has):
            raise InvalidRequestError(f"{place}[{has.index(False)}]: {port.name!r} is missing; other rows have it")
        found.append(Entry(port, [_cell(row[port.name], port) for row in rows], _in_record(place, port)))
    return found


def _named(value: Mapping[str, object], ports: Sequence[Port], names: Mapping[str, Port], place: str) -> list[Entry]:
    unknown = next((str(key) for key in value if key not in names), None)
    if unknown is not None:
        raise InvalidRequestError(f"{_below(place, unknown)}: is no input; the inputs are {_words(names)}")
    if len(ports) == 1 and ports[0].columns:
        return [_table(value, ports[0], place)]
    return [_column(value[port.name], port, _below(place, port.name)) for port in ports if port.name in value]


def _column(value: object, port: Port, place: str) -> Entry:
    """Read one input; of one with a single column a list of values is enough."""
    if port.shape[1:] == (1,) and isinstance(value, list) and value and not any(isinstance(c, list) for c in value):
        return Entry(port, [[cell] for cell in value], _in_column(place))
    return Entry(port, value, at(place))


def _table(value: Mapping[str, object], port: Port, place: str) -> Entry:
    """Read the columns of a table, each by name."""
    columns: list[list[object]] = []
    for name in port.columns:
        column = value[name]
        if not isinstance(column, list):
            raise InvalidRequestError(
                f"{_below(place, name)}: expected an array with a value for each row{_got(column)}"
            )
        if len(column) != len(columns[0] if columns else column):
            raise InvalidRequestError(
                f"{_below(place, name)}: has {len(column)} values, {port.columns[0]!r} has {len(columns[0])}"
            )
        columns.append(column)
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Entry(port, rows, _in_columns(place, port))


def _check_names(given: Sequence[object], names: Mapping[str, Port], place: str) -> None:
    unknown = next((name for name in given if not isinstance(name, str) or name not in names), None)
    if unknown is not None:
        raise InvalidRequestError(f"{place}: {unknown!r} is no input; the inputs are {_words(names)}")
    there = set(given)
    missing = next((name for name, port in names.items() if name not in there and not port.is_optional), None)
    if missing is not None:
        raise InvalidRequestError(f"{place}: {missing!r} is missing")
    if len(given) != len(there):
        twice = next(name for name in given if given.count(name) > 1)
        raise InvalidRequestError(f"{place}: {twice!r} stands there twice")


def _names(ports: Sequence[Port]) -> dict[str, Port]:
    """Return what can be sent by name: the columns of a table, else the inputs."""
    if len(ports) == 1 and ports[0].columns:
        return dict.fromkeys(ports[0].columns, ports[0])
    return {port.name: port for port in ports}


def _is_record(entry: Mapping[str, object], ports: Sequence[Port]) -> bool:
    """Return whether an object in an array is a row with every input by name; else it is the one input's value."""
    port = ports[0]
    if len(ports) > 1 or port.dtype or len(port.shape) != 1:
        return True
    return port.is_column and (not isinstance(port.example, Mapping) or entry.keys() == {port.name})


def _is_row(entries: Sequence[object], port: Port) -> bool:
    """Return whether an array in an array is a row with the one column's value; else it is the value."""
    return any(isinstance(entry, list) for entry in entries) and not isinstance(port.example, list)


def _cell(value: object, port: Port) -> object:
    return [value] if port.shape[1:] == (1,) and not isinstance(value, list) else value


def _in_row(place: str, number: int, port: Port) -> Spot:
    return lambda indices: at(place)((*indices[:1], number, *_inner(indices, port)) if indices else ())


def _in_record(place: str, port: Port) -> Spot:
    def spot(indices: Sequence[int]) -> str:
        if not indices:
            return at(place)(())
        if port.columns:
            return f"{place}[{indices[0]}]" + (f"[{port.columns[indices[1]]!r}]" if len(indices) > 1 else "")
        return f"{place}[{indices[0]}][{port.name!r}]" + "".join(f"[{number}]" for number in _inner(indices, port))

    return spot


def _in_columns(place: str, port: Port) -> Spot:
    def spot(indices: Sequence[int]) -> str:
        return at(place)(indices) if len(indices) < 2 else at(_below(place, port.columns[indices[1]]))(indices[:1])  # noqa: PLR2004  # row and column

    return spot


def _in_column(place: str) -> Spot:
    return lambda indices: at(place)(indices[:1])


def _inner(indices: Sequence[int], port: Port) -> Sequence[int]:
    return () if port.shape[1:] == (1,) else indices[1:]


def _moved(indices: Sequence[int], order: Sequence[int]) -> Sequence[int]:
    return (indices[0], order[indices[1]], *indices[2:]) if len(indices) > 1 else indices


def _below(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _words(names: Mapping[str, Port], most: int = 20) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _got(value: object) -> str:
    if isinstance(value, list):
        return f", got {len(value)}"
    return "" if isinstance(value, Mapping) else f", got {short(value, 40)}"
