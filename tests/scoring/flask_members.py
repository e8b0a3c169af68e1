"""What scripts do with Flask's objects, member by member: expressions that are asked of werkzeug's and of ours.

In each expression ``x`` is the object; they stand in lines and between semicolons with a space. Members that stand in
none must stand in ``REFUSED``.
"""

from __future__ import annotations

MULTI_READ = """
x.get('n'); x.get('n', type=int); x.get('n', 5, int); x.get('word', default=5, type=int); x.get('no')
x.get('no', 'd'); x.get('no', default=1, type=int); x['n']; x['no']; 'n' in x; 'no' in x; len(x); bool(x); sorted(x)
sorted(x.keys()); x.getlist('n'); x.getlist('n', type=int); x.getlist('word', int); x.getlist('no'); sorted(x.items())
sorted(x.values()); sorted(x.items(multi=True)); sorted(x.lists()); sorted(x.listvalues())
sorted(x.to_dict().items()); sorted(dict(x).items()); sorted(x.to_dict(flat=False).items()); sorted({**x}.items())
next(x.items()); isinstance(x, dict); sorted((x | {'m': '1'}).lists()); sorted(x.copy().lists())
type(x.copy()).__name__; sorted(x.deepcopy().lists()); x == x.copy(); x == {'n': ['3', '4']}
sorted(copy.copy(x).lists()); sorted(copy.deepcopy(x).lists()); sorted(pickle.loads(pickle.dumps(x)).lists())
type(x).fromkeys(['a', 'b'], 1); json.dumps(x.to_dict(), sort_keys=True); x != x.copy()
"""

MULTI_CHANGE = """
x.add('n', '5'); x.add('new', 1); x.setlist('n', ['7', '8']); x.setdefault('n', '9'); x.setdefault('new', '9')
x.setdefault('new'); x.pop('n'); x.pop('no'); x.pop('no', 1); x.poplist('n'); x.poplist('no'); x.popitem()
x.popitemlist(); x.clear(); x.update({'n': ['1', '2'], 'new': 'a'}); x.update([('n', 'z')]); x.__setitem__('n', 'one')
x.__delitem__('n'); x.__delitem__('no'); x.__ior__({'n': 'or'}); x.setlistdefault('n', ['1'])
"""

HEADERS_READ = """
x.get('X-N'); x.get('x-n'); x.get('X-N', 1, type=int); x.get('X-Word', 1, int); x.get('X-No'); x.get('X-No', 'd')
x['x-n']; x['no']; x.get_all('X-N'); x.getlist('X-N'); x.getlist('x-n', type=int); x.getlist('X-No')
x.getlist('X-Word', int); 'x-n' in x; 'no' in x; len(x); sorted(k for k, v in x); sorted(x.items())
sorted(x.items(lower=True)); sorted(x.keys()); sorted(x.keys(lower=True)); sorted(x.values())
sorted(x.to_wsgi_list()); sorted(dict(x).items()); dict(x.items())['X-N']; 5 in x if False else 0; bool(x)
sorted(str(x).splitlines()); x.get('X-N', type=str.upper); x == x
"""

HEADERS_CHANGE = """
x.add('X-N', 8); x.add('A', 'b', filename='c d.csv', max_age=3); x.add_header('X-N', 'b'); x.set('x-n', 'one')
x.set('New', 'v', a='1'); x.setlist('X-N', ['1', '2', '3']); x.setlist('X-N', []); x.setdefault('X-N', '9')
x.setdefault('New', 9); x.setlistdefault('New', ['a', 'b']); x.setlistdefault('X-N', ['a'])
x.extend({'X-N': ['1', '2'], 'B': 3}); x.extend([('X-N', '1')]); x.extend(X='1')
x.update({'X-N': '1', 'B': ['3', '4']}); x.update([('X-N', '1')]); x.update(B='1', C=['2', '3']); x.remove('x-n')
x.remove('no'); x.pop('X-N'); x.pop('no'); x.pop('no', 1); x.pop(); x.pop(0); x.popitem(); x.clear()
x.__setitem__('X-N', 1); x.__setitem__(0, ('Z', 'z')); x.__setitem__(slice(0, 1), [('Z', 'z')]); x.__delitem__('X-N')
x.__delitem__('no'); x.__delitem__(0); x.__ior__({'X-N': '2'}); list(x | {'X-N': '2'}); list(x.copy())
list(copy.copy(x)); x.set('A', 'b\\nc'); x.add('A', 'b\\rc'); x[0]; list(x[0:1]); x.__setitem__('A', 'b\\r\\nX: c')
x == x.copy(); x == 1; repr(x)
"""

FILE = """
x.filename; x.name; x.content_type; x.content_length; x.mimetype; x.mimetype_params; x.read(); x.read(2)
x.stream.read(); x.seek(1); x.tell(); list(x); bool(x); sorted(x.headers.items()); x.headers.get('X-Part')
x.readline(); x.close(); x.no; saved(x); saved_stream(x); repr(x); x.seekable(); x.readable(); x.closed
(x.close(), x.closed)
"""

REQUEST = """
x.method; x.path; x.full_path; x.query_string; x.args; x.form; x.files; x.values; x.data; x.get_data()
x.get_data(as_text=True); x.get_data(cache=False); x.get_data(False); x.get_data(parse_form_data=True)
(x.get_data(), x.data); x.stream.read(); x.input_stream.read(); x.is_json; x.json; x.get_json()
x.get_json(silent=True); x.get_json(force=True); x.get_json(True, True); x.get_json(cache=False)
(x.get_json(silent=True), x.get_json(silent=True)); x.on_json_loading_failed(None)
x.on_json_loading_failed(ValueError()); x.content_type; x.content_length; x.content_encoding; x.content_md5
x.mimetype; x.mimetype_params; x.charset_of_nothing; x.url; x.base_url; x.root_url; x.url_root; x.host_url; x.host
x.script_root; x.root_path; x.scheme; x.is_secure; x.remote_addr; x.remote_user; x.access_route; list(x.access_route)
x.referrer; x.origin; x.date; x.max_forwards; x.cookies; x.cookies.get('c'); x.cookies.get('n', type=int)
x.cookies.getlist('c'); x.user_agent.string; str(x.user_agent); x.user_agent.browser; x.user_agent.platform
x.user_agent.version; x.user_agent.language; bool(x.user_agent); x.user_agent.to_header(); repr(x.user_agent)
x.authorization is None; x.authorization and x.authorization.type; x.authorization and x.authorization.username
x.authorization and x.authorization.password; x.authorization and x.authorization.token
x.authorization and x.authorization['username']; x.authorization and x.authorization.get('realm', 'no')
x.authorization and x.authorization.parameters; x.authorization and x.authorization.to_header()
x.authorization and 'username' in x.authorization; x.authorization == x.authorization; x.pragma; list(x.pragma)
x.accept_mimetypes; x.accept_mimetypes.best; x.accept_mimetypes.best_match(['text/html', 'application/json'])
x.accept_mimetypes.best_match(['text/plain'], 'none'); 'application/json' in x.accept_mimetypes
'image/png' in x.accept_mimetypes; x.accept_mimetypes.accept_json; x.accept_mimetypes.accept_html
x.accept_mimetypes.accept_xhtml; x.accept_mimetypes['text/html']; x.accept_mimetypes.quality('text/html')
list(x.accept_mimetypes.values()); x.accept_mimetypes.provided; len(x.accept_mimetypes)
x.accept_mimetypes.find('text/html'); x.accept_mimetypes.index('text/html'); x.accept_mimetypes.to_header()
x.accept_mimetypes[0]; str(x.accept_mimetypes); x.accept_mimetypes.best_match(['nonsense'])
x.accept_mimetypes.append(1); x.accept_mimetypes.copy(); x.accept_charsets; 'UTF8' in x.accept_charsets
x.accept_charsets.best; x.accept_encodings; 'gzip' in x.accept_encodings
x.accept_encodings.best_match(['br', 'gzip']); x.accept_languages; x.accept_languages.best_match(['de', 'en'])
x.accept_languages.best_match(['en_US', 'fr-CH']); x.accept_languages.best_match(['nl'], 'x'); x.cache_control
x.cache_control.no_cache; x.cache_control.max_age; x.cache_control.max_stale; x.cache_control.no_store
x.cache_control.min_fresh; x.cache_control.only_if_cached; x.cache_control.no_transform
x.cache_control.stale_if_error; x.cache_control.to_header(); x.cache_control.get('max-age')
x.cache_control.pop('max-age'); x.cache_control.clear(); x.cache_control.update(a='b')
x.cache_control.setdefault('a', 'b'); x.cache_control.popitem(); x.cache_control.__setitem__('a', 'b')
x.if_match; x.if_none_match
'abc' in x.if_none_match; x.if_none_match.contains('abc'); x.if_none_match.contains_weak('abc')
x.if_none_match.is_weak('w'); x.if_none_match.is_strong('abc'); x.if_none_match.contains_raw('W/"w"')
sorted(x.if_none_match); sorted(x.if_none_match.as_set(True)); len(x.if_none_match); bool(x.if_match)
x.if_match.star_tag; x.if_none_match(etag='abc'); x.if_none_match(data=b'abc'); x.if_match.to_header()
x.if_modified_since; x.if_unmodified_since; x.if_range.etag; x.if_range.date; x.if_range.to_header(); x.range
x.range and x.range.units; x.range and x.range.ranges; x.range and x.range.range_for_length(10)
x.range and x.range.to_content_range_header(10); x.range and x.range.to_header(); x.access_control_request_method
x.access_control_request_headers; x.access_control_request_headers and 'x-a' in x.access_control_request_headers
x.want_form_data_parsed; x.shallow; x.is_run_once; x.trusted_hosts; x.max_content_length; repr(x); x.close()
x.__enter__() is x; x.environ['REQUEST_METHOD']; x.environ['PATH_INFO']; x.environ['QUERY_STRING']
x.environ.get('CONTENT_TYPE'); x.environ.get('HTTP_X_N'); x.environ['SERVER_PROTOCOL']; x.environ.get('REMOTE_ADDR')
x.environ['wsgi.url_scheme']; hash(x.args); x.environ['SERVER_NAME']; x.environ['SERVER_PORT']
x.environ['SCRIPT_NAME']; setattr(x, 'content_type', 'a'); setattr(x, 'own', 1); sorted(h for h, _ in x.headers)
x.headers['X_N']; x.headers.add('a', 'b'); x.headers.copy(); x.parameter_storage_class.__name__
x.dict_storage_class.__name__; x.is_multithread in {True, False}; x.is_multiprocess in {True, False}
x.json_module.loads('1')
"""

# What Flask adds to werkzeug's request; v1's server is asked the same in test_beside_v1.
FLASK_REQUEST = {"endpoint", "blueprint", "blueprints", "view_args", "url_rule", "routing_exception"}

RESPONSE = """
x.status; x.status_code; x.data; x.get_data(); x.get_data(as_text=True); x.content_type; x.mimetype
dict(x.mimetype_params); x.content_length; x.response; x.is_json; x.json; x.get_json(); x.get_json(force=True)
x.get_json(silent=True); x.get_json(True, True); x.is_sequence; x.is_streamed; list(x.iter_encoded())
x.calculate_content_length(); x.make_sequence(); x.freeze(); x.headers; repr(x); list(x.headers)
setattr(x, 'status', '202 Accepted'); setattr(x, 'status', 404); setattr(x, 'status', '299 Mine')
setattr(x, 'status', '201'); setattr(x, 'status', http.HTTPStatus.CREATED); setattr(x, 'status_code', 203)
setattr(x, 'status_code', '418'); setattr(x, 'status', ''); setattr(x, 'data', b'new'); setattr(x, 'data', 'né')
x.set_data('new'); x.set_data(b'new'); setattr(x, 'response', ['a', b'b']); setattr(x, 'content_type', 'image/png')
setattr(x, 'mimetype', 'text/csv'); setattr(x, 'mimetype', 'image/png'); x.get_etag()
setattr(x, 'mimetype', 'application/xml'); setattr(x, 'mimetype', 'application/atom+xml')
setattr(x, 'content_encoding', 'gzip'); setattr(x, 'content_length', 3); setattr(x, 'content_location', '/a')
setattr(x, 'content_md5', 'a'); setattr(x, 'location', '/b'); setattr(x, 'accept_ranges', 'bytes')
setattr(x, 'age', 5); setattr(x, 'age', timedelta(minutes=1)); setattr(x, 'age', -1); setattr(x, 'expires', WHEN)
setattr(x, 'expires', 0); setattr(x, 'expires', DAY); setattr(x, 'last_modified', NAIVE)
setattr(x, 'last_modified', ZONED); (setattr(x, 'last_modified', WHEN), x.last_modified)
(setattr(x, 'age', 5), x.age); (setattr(x, 'expires', WHEN), x.expires); x.expires; x.age; x.location; x.last_modified
x.retry_after; setattr(x, 'retry_after', 5); setattr(x, 'retry_after', '7'); setattr(x, 'retry_after', WHEN)
setattr(x, 'retry_after', None); (setattr(x, 'retry_after', WHEN), x.retry_after); delattr(x, 'content_type')
delattr(x, 'location'); x.mimetype_params.__setitem__('a', 'b'); x.mimetype_params.update(charset='x y')
x.set_cookie('a', 'b'); x.set_cookie('a'); x.set_cookie('a', 'b c;"ü\\\\')
x.set_cookie('a', 'b', expires=WHEN, path='/ü;x')
x.set_cookie('a', 'b', expires=0, domain='.example.com:80', secure=True, httponly=True, samesite='lax')
x.set_cookie('a', path=None); x.set_cookie('a', 'b', expires='x', partitioned=True); x.set_cookie('a', samesite='odd')
(x.set_cookie('a'), x.set_cookie('b')); x.set_cookie('a', 'b', max_age=60, expires=WHEN)
x.set_cookie('a', max_age=timedelta(hours=1), expires=0); x.delete_cookie('a')
x.delete_cookie('a', path='/p', domain='d.example', secure=True, httponly=True, samesite='Strict')
x.set_cookie('ü', '\\x01'); setattr(x.cache_control, 'no_cache', True); setattr(x.cache_control, 'max_age', 60)
setattr(x.cache_control, 'max_age', '60'); setattr(x.cache_control, 'private', 'X-A, X-B')
setattr(x.cache_control, 'public', True); setattr(x.cache_control, 'no_store', True)
setattr(x.cache_control, 'must_revalidate', True); setattr(x.cache_control, 'proxy_revalidate', True)
setattr(x.cache_control, 's_maxage', 1); setattr(x.cache_control, 'immutable', True)
setattr(x.cache_control, 'must_understand', True); setattr(x.cache_control, 'no_transform', 1)
setattr(x.cache_control, 'stale_while_revalidate', 3); setattr(x.cache_control, 'stale_if_error', 3)
x.cache_control.no_cache; setattr(x.cache_control, 'max_age', 'x'); setattr(x.cache_control, 'max_age', None)
delattr(x.cache_control, 'max_age'); x.cache_control.update({'a': 'b c', 'd': None})
x.cache_control.__setitem__('own', '1'); x.cache_control.clear(); x.cache_control
(setattr(x.cache_control, 'max_age', 1), setattr(x.cache_control, 'public', True), x.cache_control.max_age)
(setattr(x.cache_control, 'public', True), x.cache_control.public)
(setattr(x.cache_control, 'public', True), setattr(x.cache_control, 'public', False)); x.cache_control.max_age
x.cache_control.to_header(); x.cache_control.pop('a', None); x.cache_control.setdefault('a', 'b')
x.cache_control.popitem(); x.cache_control.copy(); x.set_etag('abc'); x.set_etag('abc', weak=True); x.set_etag('a"b')
(x.set_etag('a', True), x.get_etag()); x.add_etag(); x.add_etag(weak=True)
(x.set_etag('a'), x.add_etag(), x.get_etag()); (x.set_etag('a'), x.add_etag(overwrite=True), x.get_etag()); x.vary
x.vary.add('Accept'); (x.vary.add('A'), x.vary.add('a'), x.vary.add('B')); setattr(x, 'vary', 'A, B')
setattr(x, 'vary', ['A', 'B']); (setattr(x, 'vary', 'A, B'), x.vary.remove('a'))
(setattr(x, 'vary', 'A'), x.vary.discard('A')); x.vary.remove('no'); x.vary.discard('no')
(setattr(x, 'vary', 'A, B'), x.vary.find('b'), x.vary.index('B'), 'a' in x.vary, len(x.vary), list(x.vary))
(setattr(x, 'vary', 'A, B'), x.vary[0], x.vary.as_set())
(setattr(x, 'vary', 'A, B'), x.vary.clear()); (setattr(x, 'vary', 'A, B'), x.vary.as_set(True)); x.vary.index('no')
x.vary.to_header(); (setattr(x, 'vary', 'A, B'), x.vary.__setitem__(0, 'C'))
(setattr(x, 'vary', 'A, B'), x.vary.__delitem__(0)); x.vary.update(['A', 'B'])
(setattr(x, 'vary', 'A, B'), setattr(x, 'vary', None)); setattr(x, 'allow', ['GET', 'POST']); x.allow
x.content_language; setattr(x, 'content_language', 'en'); setattr(x, 'access_control_allow_origin', '*')
setattr(x, 'access_control_allow_credentials', True)
(setattr(x, 'access_control_allow_credentials', True), setattr(x, 'access_control_allow_credentials', False))
x.access_control_allow_credentials; x.access_control_allow_origin
setattr(x, 'access_control_allow_headers', ['A', 'B']); setattr(x, 'access_control_allow_methods', ['GET'])
setattr(x, 'access_control_expose_headers', ['A']); x.access_control_max_age; setattr(x, 'access_control_max_age', 5)
(setattr(x, 'access_control_max_age', 5), x.access_control_max_age); x.content_encoding
(setattr(x, 'access_control_allow_headers', ['A']), list(x.access_control_allow_headers))
x.access_control_expose_headers; x.stream.write(b'more'); x.stream.writelines([b'a', b'b']); x.stream.tell()
x.stream.isatty(); x.stream.flush(); x.stream.encoding; setattr(x, 'own', 1); setattr(x, 'direct_passthrough', True)
setattr(x, 'direct_passthrough', False); x.direct_passthrough
(setattr(x, 'implicit_sequence_conversion', False), x.get_data()); x.autocorrect_location_header
x.automatically_set_content_length
(setattr(x, 'response', iter(['a', 'b'])), x.is_streamed, x.is_sequence, x.get_data(), x.is_sequence)
x.max_cookie_size; (setattr(x, 'response', iter(['a'])), setattr(x, 'direct_passthrough', True), x.get_data())
x.default_status; x.default_mimetype
(setattr(x, 'response', iter(['a'])), setattr(x, 'direct_passthrough', True), x.calculate_content_length())
x.json_module.loads('1'); x.call_on_close(print) is print; closed(x); x.__enter__() is x
x.headers.set('Content-Type', 'a/b'); x.accept_ranges; x.content_md5
x.headers.__setitem__('Content-Disposition', 'attachment;filename=x.csv'); x.headers.pop('x-ms-run-function-failed')
x.content_location; x.headers.add('Content-Disposition', 'attachment', filename='ü"x.csv')
x.access_control_allow_methods; (x.close(), x.get_data())
"""

# Refused with a text that names another way. What is only refused when it is set is compared above when it is read.
REFUSED = {
    "Request": {
        "application",
        "from_values",
        "form_data_parser_class",
        "list_storage_class",
        "make_form_data_parser",
        "user_agent_class",
        "url_rule",
    },
    "Response": {
        "content_range",
        "content_security_policy",
        "content_security_policy_report_only",
        "cross_origin_embedder_policy",
        "cross_origin_opener_policy",
        "date",
        "force_type",
        "from_app",
        "get_app_iter",
        "get_wsgi_headers",
        "get_wsgi_response",
        "make_conditional",
        "www_authenticate",
    },
    "MultiDict": {"setlistdefault"},
    "Range": {"make_content_range"},
    "ResponseCacheControl": {"cache_property"},
    "RequestCacheControl": {"cache_property"},
}

# Read alike, and refused when they are set to something else: a script that sets them would not get what it asks for.
FIXED = {
    "Request": {
        "trusted_hosts": ["a"],
        "max_content_length": 5,
        "max_form_memory_size": 5,
        "max_form_parts": 5,
        "shallow": True,
        "parameter_storage_class": dict,
        "dict_storage_class": dict,
        "is_multithread": 5,
        "is_multiprocess": 5,
        "is_run_once": True,
        "json_module": 5,
        "endpoint": "a",
        "blueprint": "a",
        "blueprints": [],
        "view_args": {1: 1},
        "routing_exception": 5,
        "charset": "latin-1",
    },
    "Response": {
        "automatically_set_content_length": False,
        "autocorrect_location_header": True,
        "json_module": 5,
        "charset": "latin-1",
    },
}
