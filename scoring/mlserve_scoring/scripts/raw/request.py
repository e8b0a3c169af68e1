"""The request that a ``@rawhttp`` script is called with: Flask's, each part of it made when it is first asked for."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import quote, unquote

from mlserve_scoring.errors import SchemaMismatchError, ScoringError, UnsupportedContentError
from mlserve_scoring.scripts.raw.fields import list_of
from mlserve_scoring.scripts.raw.files import FileStorage, Form, read_form, url_encoded
from mlserve_scoring.scripts.raw.members import Fixed, FixedCopy, Once, Refused
from mlserve_scoring.scripts.raw.request_head import RequestHead
from mlserve_scoring.scripts.raw.values import CombinedMultiDict, ImmutableMultiDict

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.accept import ImmutableList

_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_JSON: Final = json
_HOST: Final = re.compile(r"(?:[a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+])(?::[1-9][0-9]{0,4})?", re.ASCII | re.IGNORECASE)
_SAFE: Final = "!$&'()*+,/:;=@%"
_LIMIT: Final = "the service's max_body_bytes limits what is read"
_CLASS: Final = "make what you need of request.args, request.form or request.headers"
_NO_ROUTES: Final = "the service has no Flask routes; see request.path"


class AMLRequest(RequestHead):
    """The request that a ``@rawhttp`` script is called with."""

    scheme: str = "http"  # as a service behind a front end sees it
    root_path: str = ""
    server: tuple[str, int | None] | None = None
    remote_user: str | None = None
    _read = False

    # The body

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> bytes | str:
        """Return the body as bytes, or as text when asked; empty where a form is to be parsed and is one."""
        if parse_form_data and not self._read and self.mimetype in _FORMS and self._form.read:
            return "" if as_text else b""
        if cache:
            self._read = True
        return self._request.body.decode("utf-8", "replace") if as_text else self._request.body

    @Once
    def data(self) -> bytes | str:
        """Return the body; empty for a form that was not read otherwise before."""
        return self.get_data(parse_form_data=True)

    @Once
    def stream(self) -> io.BytesIO:
        """Return the body as a stream; the same one each time."""
        return io.BytesIO(self._request.body)

    @property
    def input_stream(self) -> io.BytesIO:
        """Return the body as a stream."""
        return self.stream

    @Once
    def form(self) -> ImmutableMultiDict[str]:
        """Return the fields of a form."""
        return self._form.fields

    @Once
    def files(self) -> ImmutableMultiDict[FileStorage]:
        """Return the files of a multipart form."""
        return self._form.files

    @Once
    def _form(self) -> Form:
        return read_form(self._request.body, self.content_type or "")

    @Once
    def args(self) -> ImmutableMultiDict[str]:
        """Return the parameters of the query."""
        return url_encoded(self.query_string.decode("utf-8", "surrogateescape"))

    @Once
    def values(self) -> CombinedMultiDict[str]:
        """Return the parameters of query and form together, the query's first; of a GET the query's alone."""
        return CombinedMultiDict([self.args] if self.method == "GET" else [self.args, self.form])

    @property
    def want_form_data_parsed(self) -> bool:
        """Return whether the body may be a form."""
        return bool(self.content_type)

    # JSON

    @property
    def is_json(self) -> bool:
        """Return whether the content type says JSON."""
        kind = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> object:
        """Return the body read as JSON, whatever it says it is when forced; ``None`` for what is none when silent.

        Raises:
            UnsupportedContentError: It says it is something else; unless caught, the client is told so by status 415.
            SchemaMismatchError: It is no JSON; unless caught, the client is told so by status 400.
        """
        if cache and "_json" in self.__dict__:
            return self._json
        if not (force or self.is_json):
            return None if silent else self.on_json_loading_failed(None)
        try:
            value = json.loads(self._request.body)
        except ValueError as error:
            return None if silent else self.on_json_loading_failed(error)
        except RecursionError:
            return None if silent else self.on_json_loading_failed(ValueError("it is nested too deep"))
        if cache:
            self._json: object = value
        return value

    @property
    def json(self) -> object:
        """Return the body read as JSON."""
        return self.get_json()

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        """Raise what says that the body is no JSON, or says it is none."""
        if e is None:
            text = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
            raise _refusal(UnsupportedContentError(text), "UnsupportedMediaType")
        raise _refusal(SchemaMismatchError("", f"The body could not be decoded as JSON: {e}"), "BadRequest") from e

    # Where it went

    @Once
    def query_string(self) -> bytes:
        """Return the query as it was sent."""
        return self._request.query.encode("latin-1", "replace")

    @Once
    def full_path(self) -> str:
        """Return path and query."""
        return f"{self.path}?{self.query_string.decode('utf-8', 'replace')}"

    @Once
    def host(self) -> str:
        """Return the host that was asked, with the port unless it is 80; empty where it is not known."""
        host = self.headers.get("Host", "").removesuffix(":80")
        return host if _HOST.fullmatch(host) else ""

    @Once
    def host_url(self) -> str:
        """Return the URL of the host."""
        return f"{self.scheme}://{self.host.lower()}/"

    @Once
    def root_url(self) -> str:
        """Return the URL of the service's root."""
        return self.host_url

    @Once
    def url_root(self) -> str:
        """Return the URL of the service's root."""
        return self.root_url

    @property
    def script_root(self) -> str:
        """Return the path of the service's root: none."""
        return self.root_path

    @Once
    def base_url(self) -> str:
        """Return the URL without the query, readable: only what would change its meaning stays escaped."""
        return self.host_url + _readable(quote(self.path.lstrip("/"), safe=_SAFE), "/?#")

    @Once
    def url(self) -> str:
        """Return the URL, readable: only what would change its meaning stays escaped."""
        query = quote(self.query_string, safe=f"{_SAFE}?")
        return f"{self.base_url}?{_readable(query, '&=+#')}" if query else self.base_url

    @property
    def is_secure(self) -> bool:
        """Return whether the request came by HTTPS: a front end's is not seen."""
        return self.scheme in {"https", "wss"}

    @Once
    def remote_addr(self) -> str | None:
        """Return the client's address."""
        return self._request.peer or None

    @Once
    def access_route(self) -> ImmutableList:
        """Return the addresses from the client to the last proxy."""
        from mlserve_scoring.scripts.raw.accept import ImmutableList  # noqa: PLC0415  few scripts need it

        forwarded = self.headers.get("X-Forwarded-For")
        own = [] if self.remote_addr is None else [self.remote_addr]
        return ImmutableList(own if forwarded is None else list_of(forwarded))

    @Once
    def environ(self) -> dict[str, object]:
        """Return the request as WSGI has it."""
        from mlserve_scoring.scripts.raw.environ import environ_of  # noqa: PLC0415  few scripts need it

        return environ_of(self)

    # What Flask knows of its application and its server

    endpoint = Fixed("main.handle_score", _NO_ROUTES)  # v1's names
    blueprint = Fixed("main", _NO_ROUTES)
    blueprints = FixedCopy(["main"], _NO_ROUTES)
    view_args = FixedCopy[dict[str, object]]({}, _NO_ROUTES)
    routing_exception = Fixed(None, _NO_ROUTES)
    url_rule = Refused(_NO_ROUTES)
    is_multithread = Fixed(True, "it says how the service runs")
    is_multiprocess = Fixed(False, "it says how the service runs")
    is_run_once = Fixed(False, "it says how the service runs")
    shallow = Fixed(False, "the body is read already")
    max_content_length = Fixed(None, _LIMIT)
    max_form_memory_size = Fixed(None, _LIMIT)
    max_form_parts = Fixed(None, _LIMIT)
    trusted_hosts = Fixed(None, "look at request.host")
    charset = Fixed("utf-8", "decode request.get_data() yourself")
    json_module = Fixed(_JSON, "read request.get_data() yourself")
    parameter_storage_class = Fixed(ImmutableMultiDict, _CLASS)
    dict_storage_class = Fixed(ImmutableMultiDict, _CLASS)
    list_storage_class = Refused(_CLASS)
    user_agent_class = Refused(_CLASS)
    form_data_parser_class = Refused("read request.get_data() yourself")
    make_form_data_parser = Refused("read request.get_data() yourself")
    application = Refused("a service calls run(), and no WSGI applications")
    from_values = Refused("use werkzeug.test in tests of your own")

    def close(self) -> None:
        """Close the files of a form."""
        for file in self.files.values() if "files" in self.__dict__ else ():
            file.close()

    def __enter__(self) -> AMLRequest:  # noqa: PYI034  # Self is of Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the files of a form."""
        self.close()

    def __repr__(self) -> str:
        """Return URL and method."""
        return f"<{type(self).__name__} {self.url!r} [{self.method}]>"


def _refusal(error: ScoringError, name: str) -> Exception:
    """Return an error, as werkzeug's of that name too where the script has imported that."""
    theirs = getattr(sys.modules.get("werkzeug.exceptions"), name, None)
    if theirs is None:
        return error
    both = type(name, (type(error), theirs), {"__str__": lambda _: str(error), "__init__": theirs.__init__})
    made = both(str(error))
    made.__dict__.update(vars(error))
    return made  # type: ignore[no-any-return]  # made of two exceptions


def _readable(quoted: str, kept: str) -> str:
    """Return part of a URL with what UTF-8 it holds unescaped, but for controls, spaces, ``%`` and what is kept."""
    if "%" not in quoted:
        return quoted
    codes = "|".join(f"{code:02X}" for code in (*range(0x21), 0x25, 0x7F, *kept.encode()))
    return re.sub(rf"(?:%(?!{codes})[0-9A-F]{{2}})+", _unescaped, quoted, flags=re.IGNORECASE)


def _unescaped(found: re.Match[str]) -> str:
    text = unquote(found[0], errors="surrogateescape")
    return "".join(quote(sign, errors="surrogateescape") if "\udc80" <= sign <= "\udcff" else sign for sign in text)
