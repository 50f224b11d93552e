"""Build the sample crawl: pages of invented sites, in the clutter of real ones, as WARC files with real-world damage.

The text of ``sites/*.yaml`` becomes full HTML pages (navigation, cookie notice, advertisements, comments, footer) in
the manner of six kinds of site (``templates/``). Among them are what every crawl holds: errors, redirects, pictures,
mirrors, wrong character sets, cut-off pages, and a WARC member whose bytes were flipped. The same call writes the same
bytes.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.files import publish_file
from common.settings import Settings

SITES = Path(__file__).parent / "sites"
TEMPLATES = Path(__file__).parent / "templates"
UTF8 = "text/html; charset=utf-8"
DATE = "2026-01-15T12:00:00Z"
ADVERTISEMENTS = (
    "Ten kitchen gadgets you did not know you needed",
    "Switch your energy supplier and save today",
    "This simple trick keeps your windows clean",
    "Cheap flights to the sun from 29.99",
)


class SamplePage(Settings):
    """One page of a site: its path, its title and the inner HTML of its main content."""

    path: str
    title: str
    body: str


class SampleSite(Settings):
    """A site file. ``value`` is the author's guess of its educational value, 0 to 5; it is not used by the filter."""

    site: str
    host: str
    language: str
    template: str
    value: float
    pages: list[SamplePage]


@dataclass(frozen=True)
class Response:
    """One HTTP response of the crawl."""

    url: str
    status: str
    content_type: str
    body: bytes


def load_sites() -> list[SampleSite]:
    """Every embedded site, by file name."""
    return [SampleSite.load(path) for path in sorted(SITES.glob("*.yaml"))]


def write_crawl(folder: Path, files: int = 2) -> list[Path]:
    """Write the sample crawl as ``files`` WARC files, sites dealt out in turn.

    Returns:
        Their paths. Each ends with a damaged member: flipped bytes in the first file, a cut-off member in the others.
    """
    sites = load_sites()
    paths = []
    for number in range(files):
        share = sites[number::files]
        responses = [response for site in share for response in _site_responses(site)]
        members = [_warc_member(response) for response in [*responses, *_odd_responses(share[0], number)]]
        # Reading must survive these two, and lose only the member itself.
        members.insert(len(members) // 2, _flipped(members[1]) if number == 0 else members[1][: len(members[1]) // 2])
        paths.append(folder / f"sample-{number:02d}.warc.gz")
        with publish_file(paths[-1]) as temporary:
            temporary.write_bytes(b"".join(members))
    return paths


def _site_responses(site: SampleSite) -> Iterator[Response]:
    for index, page in enumerate(site.pages):
        yield Response(f"https://{site.host}{page.path}", "200 OK", UTF8, render(site, page, index))


def _odd_responses(site: SampleSite, number: int) -> Iterator[Response]:
    """What a crawl holds besides whole pages."""
    pages = site.pages
    host = f"https://odd-{number}.example"
    html = "text/html"
    yield Response(f"{host}/gone", "404 Not Found", html, b"<html><body><h1>Not found</h1></body></html>")
    yield Response(f"{host}/old", "301 Moved Permanently", html, b"")
    yield Response(f"{host}/logo.png", "200 OK", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    yield Response(f"{host}/mirror{pages[0].path}", "200 OK", UTF8, render(site, pages[0], 0))
    yield Response(f"{host}/app", "200 OK", html, _template("script_only").encode())
    yield Response(f"{host}/empty", "200 OK", html, b"")
    yield Response(f"{host}/cut", "200 OK", html, render(site, pages[1], 1)[:2500])
    yield Response(f"{host}/latin", "200 OK", html, render(site, pages[2], 2, charset="iso-8859-1"))
    yield Response(f"{host}/nul", "200 OK", html, render(site, pages[3], 3).replace(b"<p>", b"\0<p>"))
    yield Response(f"{host}/hostile", "200 OK", html, _template("hostile").encode())


def render(site: SampleSite, page: SamplePage, index: int, charset: str = "utf-8") -> bytes:
    """A whole HTML page: the main content inside the clutter that its kind of site has."""
    return _template(
        site.template,
        site=site,
        page=page,
        others=[other for other in site.pages if other is not page],
        number=index + 3,
        advertisement=ADVERTISEMENTS[(index + len(site.host)) % len(ADVERTISEMENTS)],
        charset=charset,
    ).encode(charset, "replace")


def _template(name: str, **values: object) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    return environment.get_template(f"{name}.html").render(values)


def _warc_member(response: Response) -> bytes:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    headers = StatusAndHeaders(response.status, [("Content-Type", response.content_type)], protocol="HTTP/1.1")
    record = writer.create_warc_record(
        response.url,
        "response",
        payload=io.BytesIO(response.body),
        http_headers=headers,
        warc_headers_dict={
            "WARC-Date": DATE,
            "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, response.url)}>",
        },
    )
    writer.write_record(record)
    return buffer.getvalue()


def _flipped(member: bytes) -> bytes:
    middle = len(member) // 2
    return member[:middle] + bytes(byte ^ 0xFF for byte in member[middle : middle + 16]) + member[middle + 16 :]
