"""Requests that servers and multipart parsers have choked on, and what each should get.

What is known of python-multipart, by its advisories: CVE-2024-24762 (options of a Content-Type),
CVE-2024-53981 (CR and LF around the boundaries), CVE-2026-24486 (paths in file names),
CVE-2026-40347 (preamble and epilogue), CVE-2026-42561 (headers of parts), CVE-2026-53537
(``filename*`` beside ``filename``), CVE-2026-53538 and -53539 (semicolons in urlencoded forms),
CVE-2026-53540 (a negative length); of Starlette: CVE-2023-30798 (fields without number),
CVE-2024-47874 (fields without end).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from serving import CLASSIFY, multipart, request

#: No answer: the connection is closed.
CUT = 0
_MEGABYTE = 1 << 20


class Case(NamedTuple):
    """Bytes on a connection, and the statuses that would be right; ``method`` is theirs."""

    name: str
    data: bytes
    statuses: tuple[int, ...]
    method: str = "POST"


def cases(photo: bytes) -> list[Case]:
    """All of them; ``photo`` is one that has an answer."""
    found = [*_lines(photo), *_lengths(photo), *_targets(photo), *_types(photo), *_forms(photo)]
    assert len({case.name for case in found}) == len(found)
    return found


#: File names in a form, and what is left of each; None for whatever is one name.
FILE_NAMES: dict[str, str | None] = {
    "dahlia.jpg": "dahlia.jpg",
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "..\\..\\windows\\win.ini": "win.ini",
    "C:\\photos\\rose.jpg": "rose.jpg",
    "a/b/c.jpg": "c.jpg",
    "..": None,
    ".": None,
    "": None,
    "/": None,
    "%2e%2e%2fx.jpg": None,
    "nul\0.jpg": None,
    "\u202egpj.exe": None,
    "café ✿.jpg": "café ✿.jpg",
    "$(touch x).jpg": "$(touch x).jpg",
    "<script>alert(1)</script>.jpg": None,
    "x" * 3000 + ".jpg": None,
    "gs:\\\\bucket\\x.jpg": "x.jpg",
}


def _lines(photo: bytes) -> Iterator[Case]:
    """Request lines and headers."""
    host = "Host: localhost\r\n"

    def get(head: str, *statuses: int, name: str) -> Case:
        return Case(name, head.encode("latin-1") + b"\r\n", statuses, "GET")

    yield Case("noise", bytes(range(256)) * 4, (400,))
    yield Case("TLS hello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), (400,))
    yield Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,))
    yield get("GET /livez\r\n", 200, 400, name="HTTP/0.9")
    yield get(f"GET /livez HTTP/1.0\r\n{host}", 200, name="HTTP/1.0")
    yield get("GET /livez HTTP/1.0\r\n", 200, name="HTTP/1.0 without Host")
    yield get(f"GET /livez HTTP/9.9\r\n{host}", 400, 505, name="HTTP/9.9")
    yield get("GET /livez HTTP/1.1\r\n", 400, name="no Host")
    yield get(f"GET /livez HTTP/1.1\r\n{host}{host}", 400, name="two Hosts")
    yield get(f"GET /livez HTTP/1.1\r\n{host}no colon\r\n", 400, name="no colon")
    yield get(f"GET /livez HTTP/1.1\r\n{host}a b: c\r\n", 400, name="space in a name")
    yield get(f"GET /livez HTTP/1.1\r\n{host}a : c\r\n", 400, name="space before the colon")
    yield get(f"GET /livez HTTP/1.1\r\n{host}a: b\0c\r\n", 400, name="NUL in a value")
    yield get(f"GET /livez HTTP/1.1\r\n{host}a: b\r\n c\r\n", 400, name="folded header")
    yield get(f"GET /livez HTTP/1.1\r\n{host}a: \xff\xfe\r\n", 200, 400, name="latin-1 value")
    many = "".join(f"x-{number}: y\r\n" for number in range(2000))
    yield get(f"GET /livez HTTP/1.1\r\n{host}{many}", 431, name="2,000 headers")
    yield get(f"GET /livez HTTP/1.1\r\n{host}x: {'y' * 200_000}\r\n", 431, name="200 kB header")
    yield get(f"GET /livez HTTP/1.1\r\n{host}{'x' * 200_000}: y\r\n", 431, name="200 kB name")
    yield get(f"GET /{'x' * 200_000} HTTP/1.1\r\n{host}", 414, 431, name="200 kB path")
    yield get("\r\n" * 1000 + f"GET /livez HTTP/1.1\r\n{host}", 200, 400, 431, name="empty lines")
    yield get(f"GET /livez HTTP/1.1\r\n{host}Upgrade: h2c\r\nConnection: upgrade\r\n",
              200, name="h2c")  # fmt: skip
    websocket = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\n"
    yield get(f"GET /livez HTTP/1.1\r\n{host}{websocket}", 200, 400, 426, name="websocket")
    yield Case("Expect nonsense", request(photo, Expect="nonsense"), (200, 417))
    yield Case("X-Request-Id", request(photo, X_Request_Id="<script>" + "x" * 5000), (200, 400))
    yield Case("traceparent", request(photo, traceparent="00-zz" * 500), (200, 400))
    yield Case("Idempotency-Key", request(photo, Idempotency_Key="\xff" * 9), (400,))


def _lengths(photo: bytes) -> Iterator[Case]:
    """What says how long a body is."""
    whole = chunked(b"%x\r\n%s\r\n" % (len(photo), photo))
    yield Case("chunked", whole, (200,))
    for length in ("-1", "+5", "0x10", "5, 6", "ten", "9" * 30, ""):
        yield Case(f"length {length!r}", request(b"12345", content_length=length), (400,))
    for length in ("99999999999", "1" + "0" * 17):
        yield Case(f"length {length}", request(b"", content_length=length), (413,))
    yield Case("two lengths", _with(request(photo), "content-length: 5"), (400,))
    yield Case("length and chunks", _with(whole, "content-length: 5"), (400,))
    yield Case("chunks and length", _with(request(photo), "transfer-encoding: chunked"), (400,))
    for coding in ("gzip, chunked", "identity", "chunked, gzip", "xchunked", "chunked, chunked"):
        coded = request(b"", content_length="0").replace(
            b"content-length: 0", f"transfer-encoding: {coding}".encode()
        )
        yield Case(f"coding {coding}", coded + b"0\r\n\r\n", (400, 411, 415, 501))
    yield Case("chunk of no size", chunked(b"zz\r\nabc\r\n"), (400,))
    yield Case("chunk of -1", chunked(b"-1\r\nabc\r\n"), (400,))
    yield Case("chunk too large", chunked(b"f" * 17 + b"\r\nabc\r\n"), (400, 413))
    yield Case("chunk too short", chunked(b"2\r\nabcdef\r\n"), (400,))
    yield Case("long extension", chunked(b"5;" + b"x" * 200_000 + b"\r\nabcde\r\n"), (400, 415))
    yield Case("tiny chunks", chunked(b"1\r\na\r\n" * 50_000), (400,))
    trailers = b"0\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(5000)) + b"\r\n"
    yield Case("5,000 trailers", chunked(b"5\r\nabcde\r\n", trailers), (400, 415, 431))


def _targets(photo: bytes) -> Iterator[Case]:
    """Methods, paths and parameters."""
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
        yield Case(f"{method} {CLASSIFY}", request(b"", CLASSIFY, method), (405,), method)
    for method, statuses in {"HEAD": (200,), "POST": (405,), "TRACE": (405,)}.items():
        yield Case(f"{method} /livez", request(b"", "/livez", method), statuses, method)
    yield Case("FOO", request(b"", "/livez", "FOO"), (400, 405, 501))
    yield Case("get", request(b"", "/livez", "get"), (400, 405, 501))
    yield Case("OPTIONS *", request(b"", "*", "OPTIONS"), (200, 400, 404, 405))
    yield Case("CONNECT", request(b"", "localhost:1", "CONNECT"), (400, 404, 405), "GET")
    yield Case("absolute", request(b"", "http://elsewhere/livez", "GET"), (200, 400, 404, 421))
    for path in (
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd"),
        *("//etc/passwd", "/.git/config", "/livez%00", "/livez/", "/LIVEZ", "/%", "/%ff%fe"),
        *("/livez;x=1", "/./livez", "/static/../livez", "/\\livez"),
    ):
        yield Case(f"GET {path}", request(b"", path, "GET"), (400, 404), "GET")
    for query in (
        *("top_k=0", "top_k=-1", "top_k=x", "top_k=1e3", "top_k=", "top_k=%00", "top_k=1.5"),
        *("top_k=1&top_k=2", "top_k=99999999999999999999", "top_k=%D9%A3", "top_k=nan"),
        *("lang=", "lang=xx", "lang=../../etc", "unknown=1", "%ff=%fe", "lang=en;top_k=1"),
        "&".join(f"a{number}=b" for number in range(2000)),
    ):
        yield Case(f"?{query[:40]}", request(photo, f"{CLASSIFY}?{query}"), (400,))


def _types(photo: bytes) -> Iterator[Case]:
    """What says what a body is."""
    for kind in ("text/plain", "application/json", "multipart/mixed; boundary=a", "video/mp4",
                 "image"):  # fmt: skip
        yield Case(f"type {kind}", request(photo, content_type=kind), (415,))
    yield Case("type image/x", request(photo, content_type="image/x"), (200,))
    yield Case("type in latin-1", request(photo, content_type="\xff\xfe/\xfd"), (400, 415))
    form = "application/x-www-form-urlencoded"  # curl's own, whatever --data-binary sends
    yield Case("type of curl", request(photo, content_type=form), (200,))
    slashes = f'{form}; !="' + "\\" * 20_000
    yield Case("CVE-2024-24762", request(photo, content_type=slashes), (200, 400, 415))
    options = "multipart/form-data" + ";x=y" * 5000
    yield Case("5,000 options", request(photo, content_type=options), (400,))
    for boundary in ("", '""', '"', "x" * 71, "x" * 20_000, "\xff"):
        kind = f"multipart/form-data; boundary={boundary}"
        name = f"boundary {boundary[:5]!r} {len(boundary)}"
        yield Case(name, request(photo, content_type=kind), (400,))
    yield Case("CVE-2026-53539", request(b"a;" * _MEGABYTE, content_type=form), (415,))
    yield Case("CVE-2026-53538", request(b"role=u&x=;role=a", content_type=form), (415,))
    yield Case("CVE-2026-53540", request(photo, content_type=form, content_length="-1"), (400,))
    yield Case("gzip", request(photo, content_encoding="gzip"), (200, 400, 415))


def _forms(photo: bytes) -> Iterator[Case]:
    """Bodies of multipart/form-data."""
    good = multipart([("a.jpg", photo)])
    end = b"--boundary--\r\n"

    def form(name: str, body: bytes, *statuses: int) -> Case:
        return Case(name, request(body, content_type=FORM), statuses or (400,))

    def part(head: str, data: bytes = b"x") -> bytes:
        return b"--boundary\r\n" + head.encode("latin-1") + b"\r\n\r\n" + data + b"\r\n"

    file = 'Content-Disposition: form-data; name="f"; filename="a.jpg"'
    yield form("form", good, 200)
    for name, byte in {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "text": b"x"}.items():
        yield form(f"1 MB of {name} before", byte * (_MEGABYTE // len(byte)) + good, 200, 400)
        yield form(f"1 MB of {name} behind", good + byte * (_MEGABYTE // len(byte)), 200, 400)
    yield form("10,000 headers in a part", part("\r\n".join(["x: y"] * 10_000)) + end)
    yield form("1 MB header in a part", part("x: " + "y" * _MEGABYTE) + end)
    yield form("1 MB name in a part", part("x" * _MEGABYTE + ": y") + end)
    yield form("headers without end", b"--boundary\r\n" + b"x: y\r\n" * 100_000)
    yield form("empty body", b"")
    yield form("no end", good.removesuffix(end))
    yield form("half an end", good[:-5])
    yield form("only an end", end)
    yield form("only a boundary", b"--boundary\r\n")
    yield form("another boundary", good.replace(b"boundary", b"frontier"))
    yield form("no colon in a part", part("no colon") + end)
    yield form("no headers in a part", b"--boundary\r\n\r\nx\r\n" + end)
    yield form("no disposition", part("Content-Type: image/jpeg", photo) + end)
    yield form("no name", part('Content-Disposition: form-data; filename="a"', photo) + end,
               200, 400)  # fmt: skip
    yield form("a field and no file", part('Content-Disposition: form-data; name="a"') + end)
    field = 'Content-Disposition: form-data; name="a"'
    yield form("CVE-2024-47874", part(field, bytes(4 * _MEGABYTE)) + end)
    yield form("CVE-2023-30798", part(field) * 20_000 + end)
    yield form("10,000 empty files", part(file, b"") * 10_000 + end, 400, 413)
    yield form("almost a boundary", part(file, b"\r\n--boundar" * 100_000) + end, 200)
    yield form("CR for ever", part(file, b"\r" * _MEGABYTE) + end, 200)
    yield form("a form in a form", part(file, good.replace(b"boundary", b"inner")) + end, 200)
    yield form("quotes without end", part(f'{file}; x="' + "\\" * 3000, photo) + end, 200, 400)


#: The Content-Type of the forms here.
FORM = "multipart/form-data; boundary=boundary"


def _with(data: bytes, header: str) -> bytes:
    """One header more."""
    head, _, body = data.partition(b"\r\n\r\n")
    return head + b"\r\n" + header.encode() + b"\r\n\r\n" + body


def chunked(chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A request with these chunks."""
    head = request(b"", content_length="0")
    return head.replace(b"content-length: 0", b"transfer-encoding: chunked") + chunks + end
