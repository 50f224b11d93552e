"""Small crawls that tests build: WARC records as bytes, and files of them."""

import gzip
import hashlib
import json
import random
import zlib

import numpy as np
import zstandard

from classifiers.calibration import Calibration
from classifiers.cascade import Cascade

SENTENCES = (
    "Rain that falls on the hills in spring finds its way down through cracks in the old stone.",
    "Farmers of the valley learned to read the clouds long before anyone had built an instrument.",
    "When a candle burns, the wax near the wick melts and is drawn upward as a liquid.",
    "A bridge stands because every push upon it is answered by an equal push from the ground.",
    "Most of the bread in this town was once baked in a single oven behind the church.",
    "Light travels so quickly that we see a distant lamp at the moment it is lit.",
    "The teacher asked her class to measure the shadow of the flagpole at noon each day.",
    "Salt keeps meat from spoiling, since the small creatures that spoil it cannot live without water.",
    "Many letters have come down to us from that winter, and they agree about the cold.",
    "To divide a cake fairly between two children, let one cut and the other one choose.",
    "An owl hears a mouse under the snow by the small difference between its two ears.",
    "Nobody knows who first thought of putting glass in front of a tired eye.",
    "Iron rusts faster by the sea than inland, as any owner of a boat will tell you.",
    "The oldest map of the coast shows an island that no sailor has found again.",
    "Seeds can sleep in dry earth for years and wake within a day of rain.",
    "If you heat a gas in a closed jar, its pressure grows with its temperature.",
)

SHORT = "This page is short and holds too few words for any rule to like it."


def prose(topic):
    """English text that passes every rule set; equal topics give equal texts."""
    chosen = random.Random(topic).sample(SENTENCES, 9)
    first = f"This page is about the {topic}, and it was written for people who have not read of it before."
    return "\n\n".join([" ".join([first, *chosen[:4]]), " ".join(chosen[4:])])


def html(text, title="A page"):
    """A page with some clutter around ``text``."""
    body = "".join(f"<p>{paragraph}</p>" for paragraph in text.split("\n\n"))
    menu = "<nav><ul><li><a href=/>Home</a></li><li><a href=/shop>Shop</a></li></ul></nav>"
    page = (
        f"<!doctype html><html><head><title>{title}</title></head><body>{menu}<article>{body}</article></body></html>"
    )
    return page.encode()


def http(body, content_type="text/html; charset=utf-8", status="200 OK", extra=()):
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {content_type}"] if content_type else []), *extra]
    return "\r\n".join([*lines, "", ""]).encode() + body


def record(block, url="http://example.org/", kind="response", number=0, length=None, **headers):
    """A WARC record."""
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012}>",
        *([f"WARC-Target-URI: {url}"] if url else []),
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + block + b"\r\n\r\n"


def pages(count, first=0):
    """Records of ``count`` pages that pass all rules, each with another text."""
    return [
        record(http(html(prose(f"river {n}"))), f"http://site{n % 5}.example.co.uk/{n}", number=n)
        for n in range(first, first + count)
    ]


def packed(records, compression="gz"):
    """A crawl file: one member a record; ``block`` cuts members without regard to records, as bgzip does."""
    if compression == "gz":
        return b"".join(gzip.compress(one, mtime=0) for one in records)
    if compression == "zst":
        return b"".join(zstandard.compress(one) for one in records)
    whole = b"".join(records)
    if compression == "one":
        return gzip.compress(whole, mtime=0)
    if compression == "block":
        return b"".join(gzip.compress(whole[place : place + 700], mtime=0) for place in range(0, len(whole), 700))
    return whole


def write_crawl(folder, files=3, pages_each=8):
    """A folder of small WARC files with good pages, refused ones, a duplicate and other languages."""
    folder.mkdir(exist_ok=True)
    for number in range(files):
        first = number * pages_each
        records = [
            record(b"software: test", None, "warcinfo", number=9000 + number),
            *pages(pages_each, first),
            record(http(b"%PDF-1.4", "application/pdf"), "http://a.example/f.pdf", number=9100 + number),
            record(http(b"gone", status="404 Not Found"), "http://a.example/gone", number=9200 + number),
            record(http(html(SHORT)), "http://a.example/short", number=9300 + number),
            record(http(html(prose("river 0"))), "http://copy.example/0", number=9400 + number),
        ]
        (folder / f"pages-{number}.warc.gz").write_bytes(packed(records))
    return folder


def write_job(path, output, source, **settings):
    """A job file; JSON is YAML."""
    path.write_text(json.dumps({"input": str(source), "output": str(output), **settings}))
    return path


class FakeScorer:
    """A scorer that is quick and has ties: a checksum of the text in steps of a quarter."""

    digest = "fake"
    cascade = None

    def warm_up(self):
        pass

    def score(self, texts, advance=None):
        return np.array([zlib.crc32(text.encode()) % 20 / 4 for text in texts], dtype=np.float32)


class Knowing:
    """A first stage that knows the full model's raw score but for a little noise; ``shuffled``: nothing of it."""

    def __init__(self, noise, shuffled=False):
        self.noise, self.shuffled = noise, shuffled

    def arrays(self):
        return {"made up": np.array([self.noise, self.shuffled])}

    def estimate(self, texts):
        salt = "another text: " if self.shuffled else ""
        return np.array([_drawn(salt + text) + self.noise * (_drawn("noise" + text) - 2.5) for text in texts])


class CascadeScorer:
    """A scorer without ties whose first stage is nearly right, or only seemed so when it was calibrated."""

    digest = "cascade"

    def __init__(self, noise=0.02, broken=False):
        knots = np.linspace(-1, 6, 8)
        calibration = Calibration(knots, np.clip(knots, 0, 5) * 0.99 + 0.001 * (knots + 1), np.zeros((5, 8)))
        spread = np.array([[0.0, 5.0], [0, 0], [max(noise, 1e-3)] * 2])
        sample = [f"calibration document {number}" for number in range(3000)]
        empty = Cascade(Knowing(noise), calibration, spread, np.empty((2, 0), np.float32))
        self._calibration = calibration
        own, full = empty.score(sample), self.score(sample)
        order = np.argsort(own, kind="stable")
        self.cascade = Cascade(Knowing(noise, broken), calibration, spread, np.stack([own[order], full[order]]))

    def warm_up(self):
        pass

    def score(self, texts, advance=None):
        return self._calibration.score(np.array([_drawn(text) for text in texts]))


def _drawn(text):
    """Uniform from 0 to 5, by the text."""
    # not a checksum: those of texts that differ alike differ alike
    return 5 * int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
