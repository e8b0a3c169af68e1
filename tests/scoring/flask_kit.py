"""The same requests and responses made by werkzeug and by the runtime."""

from __future__ import annotations

import http
import io
import json

from mlserve_scoring.scripts.rawhttp import AMLRequest
from mlserve_scoring.transport.message import Request
from werkzeug.wrappers import Request as FlaskRequest
from werkzeug.wrappers import Response as FlaskResponse


class V1Request(FlaskRequest):
    """werkzeug's request, with files that need not be closed."""

    def _get_file_stream(self, *_given, **_named):
        return io.BytesIO()


class V1Response(FlaskResponse):
    """v1's response as its package defines it, above werkzeug's where it says Flask's."""

    default_mimetype = "text/html"

    def __init__(self, message, status_code, response_headers={}, json_str=False, run_function_failed=False):  # noqa: B006, FBT002
        if message is None or json_str:
            super().__init__(
                json.dumps({} if message is None else message), status=status_code, mimetype="application/json"
            )
        else:
            super().__init__(message, status=status_code)
            if "Content-Type" in response_headers:
                self.headers.remove("Content-Type")
        self.headers["x-ms-run-function-failed"] = run_function_failed
        for name, value in response_headers.items():
            for part in value.split(","):
                self.headers.add_header(name, part.strip())


V1Request.__name__, V1Response.__name__ = "AMLRequest", "AMLResponse"


def part(head, content):
    """A part of a form."""
    return b"--b0\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


DISPOSITION = 'Content-Disposition: form-data; name="f"'
FILES = {
    "file": part(f'{DISPOSITION}; filename="a.png"\r\nContent-Type: image/PNG; a="b"\r\nX-Part: 1', b"\x89PNG\r\n\0x"),
    "no type": part(f'{DISPOSITION}; filename="a.png"', b"abc\ndef"),
    "extended": part(f"{DISPOSITION}; filename*=UTF-8''gr%C3%BCn.png", b"abc"),
    "continued": part(f'{DISPOSITION}; filename*0="a b"; filename*1="c.png"', b"abc"),
    "continued and extended": part(f"{DISPOSITION}; filename*0*=UTF-8''gr%C3; filename*1=.png", b"abc"),
    "percent": part(f'{DISPOSITION}; filename="a%22b.png"', b"abc"),
    "escaped quote": part(f'{DISPOSITION}; filename="a\\"b.png"', b"abc"),
    "utf-8": part(f'{DISPOSITION}; filename="é中.png"', b"abc"),
    "length": part(f'{DISPOSITION}; filename="a"\r\nContent-Length: 3', b"abc"),
    "wrong length": part(f'{DISPOSITION}; filename="a"\r\nContent-Length: x', b"abc"),
    "empty": part(f'{DISPOSITION}; filename=""', b""),
    "folded": part(f'{DISPOSITION};\r\n filename="a"', b"abc"),
}
URL_ENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b0"}
ETAGS = '"abc", W/"w", bare,, "d,e"'
SENT = {
    "get": ("GET", "/score", "n=3&n=4&word=a&empty=&bad=%ff&u=%C3%BC&plus=a+b&x", {}, b""),
    "no headers": ("GET", "/score", "", {"Host": None}, b""),
    "json": ("POST", "/score", "n=1", {"Content-Type": "application/json; charset=utf-8"}, b'{"a": [1, "\xc3\xbc"]}'),
    "other json": ("POST", "/score", "", {"Content-Type": "application/problem+json"}, b"[1]"),
    "no json": ("POST", "/score", "", {"Content-Type": "text/x+json"}, b"[1]"),
    "bad json": ("POST", "/score", "", {"Content-Type": "application/json"}, b"{"),
    "text": ("POST", "/score", "", {"Content-Type": "Text/Plain; Charset=latin-1"}, b"a\xff"),
    "form": (
        "POST",
        "/score",
        "n=x&q=1",
        URL_ENCODED,
        b"n=1&n=2&b=%C3%BC&c&d=%zz",
    ),
    "bad form": ("POST", "/score", "", URL_ENCODED, b"a=\xff"),
    "form by get": ("GET", "/score", "n=x", URL_ENCODED, b"n=1"),
    "no boundary": ("POST", "/score", "", {"Content-Type": "multipart/form-data"}, b"--b0--"),
    "url": ("GET", "/sc öre%", "a=%26%3D%20é%2B%C3%BC%FF%25/?:@", {"Host": "h.example:80"}, b""),
    "port": ("GET", "/score", "", {"Host": "H.example:8080"}, b""),
    "odd host": ("GET", "/score", "", {"Host": "a b/c"}, b""),
    "headers": (
        "POST",
        "/score",
        "",
        {
            "X-N": "7",
            "X-Word": "word",
            "Cookie": 'c=1; n=2; c="a\\"\\303\\274"; bad; =x; e=',
            "User-Agent": "ua/1",
            "Accept": "text/html;q=0.5, application/json;q=0.9;v=1, */*;q=0.1, odd;q=9",
            "Accept-Charset": "utf-8, *;q=0.1",
            "Accept-Encoding": "gzip, br;q=0",
            "Accept-Language": "en-US, de;q=0.5, fr",
            "Referer": "http://r/",
            "Origin": "http://o",
            "Authorization": "Basic dXNlcjpwYTpzcw==",
            "Date": "Wed, 02 Jan 2030 03:04:05 GMT",
            "Max-Forwards": "3",
            "Cache-Control": 'no-cache, max-age=5, max-stale, x="a b"',
            "Pragma": "no-cache, x",
            "If-Match": "*",
            "If-None-Match": ETAGS,
            "If-Modified-Since": "Wed, 02 Jan 2030 03:04:05 GMT",
            "If-Range": '"abc"',
            "If-Unmodified-Since": "never",
            "Range": "bytes=2-5",
            "Content-Encoding": "x",
            "Content-MD5": "m",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-A, X-B",
            "X-Forwarded-For": "10.0.0.1, 10.0.0.2",
        },
        b"abc",
    ),
    "other headers": (
        "POST",
        "/score",
        "",
        {
            "Authorization": "Bearer abc==",
            "Accept": "image/*",
            "Range": "bytes=0-1, 5-, x",
            "If-Range": "Wed, 02 Jan 2030 03:04:05 GMT",
            "Cache-Control": "max-age=x, only-if-cached, min-fresh=3",
            "Accept-Language": "*",
            "Cookie": "",
            "Max-Forwards": "x",
            "If-None-Match": "",
            "If-Match": '"a',
            "Date": "x",
        },
        b"",
    ),
    "digest": ("GET", "/", "", {"Authorization": 'Digest username="u", realm="a, b", nc=1', "Range": "bytes=-3"}, b""),
    "odd authorization": ("GET", "/", "", {"Authorization": "Basic !!", "Range": "bytes=5-"}, b""),
    "odd range": ("GET", "/", "", {"Range": "bytes=5-2", "Accept": 'text/html, "x'}, b""),
    **{name: ("POST", "/score", "n=q", MULTIPART, body + b"--b0--\r\n") for name, body in FILES.items()},
    "fields": (
        "POST",
        "/score",
        "n=q",
        MULTIPART,
        b"preamble\r\n"
        + part('Content-Disposition: form-data; name="n"', b"1")
        + part("content-disposition:form-data;name=n", "grün".encode())
        + part('Content-Disposition: form-data; name="l"\r\nContent-Type: text/plain; charset=iso-8859-1', b"\xe9")
        + part('Content-Disposition: form-data; name="odd"', b"\xff")
        + b"--b0--\r\nepilogue",
    ),
    "unended": ("POST", "/score", "", MULTIPART, FILES["file"]),
    "no disposition": ("POST", "/score", "", MULTIPART, part("X: 1", b"1") + b"--b0--"),
    "line feeds": ("POST", "/score", "", MULTIPART, (FILES["no type"] + b"--b0--\r\n").replace(b"\r\n", b"\n")),
}


def requests_of(name):
    """Makers of the same request, ours and werkzeug's."""
    method, path, query, given, body = SENT[name]
    sent = {"Host": "h.example:5001", **({"Content-Length": str(len(body))} if body else {}), **given}
    lines = {key: value.encode() for key, value in sent.items() if value is not None}

    def make_ours():
        wire = {key.lower().encode(): value for key, value in lines.items()}
        return AMLRequest(Request(method, path, query.encode().decode("latin-1"), wire, body, 0.0, "10.1.1.1"))

    def make_theirs():
        host = (sent["Host"] or "").rpartition(":")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path.encode().decode("latin-1"),
            "SCRIPT_NAME": "",
            "QUERY_STRING": query.encode().decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "10.1.1.1",
            "SERVER_NAME": host[0] or host[2],
            "SERVER_PORT": host[2] if host[0] else "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if sent["Host"] is None:
            del environ["SERVER_NAME"], environ["SERVER_PORT"]
        for key, value in lines.items():
            variable = key.upper().replace("-", "_")
            prefix = "" if variable in {"CONTENT_TYPE", "CONTENT_LENGTH"} else "HTTP_"
            environ[prefix + variable] = value.decode("latin-1")
        return V1Request(environ)

    return make_ours, make_theirs


MADE = {
    "text": ("xé", 200),
    "bytes": (b"x", 200),
    "json": ({"a": [1]}, 201, {}, True),
    "text as json": ("a", 200, {}, True),
    "none": (None, 200),
    "list": (["a", b"b"], 200),
    "failed": ("x", 200, {}, False, True),
    "status with words": ("x", "200 OK"),
    "status as text": ("x", "404"),
    "own status": ("x", "299 Mine"),
    "enumerated status": ("x", http.HTTPStatus.ACCEPTED),
    "unknown status": ("x", 299),
    "type": (b"x", 200, {"Content-Type": "image/jpeg"}),
    "more headers": ("x", 200, {"X-A": "1", "Cache-Control": "no-store"}),
}
