"""Which addresses are refused, and that datatrove refuses the same."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.urls import Peer, is_explained
from common.errors import SettingsError
from filters.job import Job
from filters.urls import Address, UrlRules, UrlSettings
from filters.verdict import Rejection
from tests.conftest import shared
from tests.filters.crawls import html, http, packed, prose, record
from tests.filters.test_stages import fake_scorer, rows, run  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def published():
    return UrlRules(UrlSettings())


def own(folder, **lists):
    """Rules of one's own lists only."""
    values = {}
    for name, entries in lists.items():
        (folder / name).write_text("\n".join(entries))
        values[name] = str(folder / name)
    return UrlRules(UrlSettings.parse({"published_lists": False, **values}))


@pytest.mark.parametrize(
    ("url", "host", "rest"),
    [
        ("HTTP://WWW.Site.Org:8080/A?b#c", "www.site.org", "/a?b"),
        ("https://user:pass@site.org./x", "site.org", "/x"),
        ("//site.org?q=http://other.org/", "site.org", "?q=http://other.org/"),
        ("site.org/x@y", "site.org", "/x@y"),
        ("http://[2001:db8::1]:80/", "[2001:db8::1]", "/"),
        ("mailto:someone", "mailto", "someone"),
        ("", "", ""),
    ],
)
def test_an_address_is_read_as_browsers_read_it(url, host, rest):
    address = Address.parse(url)
    assert (address.host, address.rest) == (host, rest)


@pytest.mark.parametrize(
    "url", [None, "", "not a url", "https://example.org/pages/porn-17", "http://a.invalid/sex/xxx"]
)
def test_a_page_without_an_address_or_with_a_placeholder_passes(published, url):
    assert published.rejection(url) is None


def test_a_banned_domain_takes_all_below_it_and_nothing_beside_it(tmp_path):
    rules = own(tmp_path, banned_domains=["spam.org", "bad.co.uk", "10.0.0.1"])
    for url in ("http://spam.org", "https://WWW.a.Spam.org:80/x", "bad.co.uk/", "http://u@10.0.0.1/"):
        assert rules.rejection(url)[0] == Rejection("url_banned_domains", 1, 0)
    for url in ("http://notspam.org", "http://spam.org.uk", "http://co.uk", "http://a.10.0.0.1.net", "http://0.0.1"):
        assert rules.rejection(url) is None
    assert rules.rejection("http://a.spam.org/")[1] == "spam.org"


def test_a_banned_address_takes_what_lies_below_it(tmp_path):
    rules = own(tmp_path, banned_urls=["http://www.site.org/bad/", "site.org/page?id=7"])
    for url in ("http://site.org/bad", "https://www.site.org/bad/x?y", "site.org/page?id=7&z=1"):
        assert rules.rejection(url)[0] == Rejection("url_banned_urls", 1, 0)
    for url in ("http://site.org/", "http://site.org/badminton", "http://a.site.org/bad", "http://site.org/page?id=70"):
        assert rules.rejection(url) is None


def test_words_count_whole_and_parts_of_words_anywhere(tmp_path):
    rules = own(tmp_path, banned_words=["poker"], soft_banned_words=["cash", "win"], banned_subwords=["free money"])
    assert rules.rejection("http://a.org/Poker-night") == (Rejection("url_banned_words", 1, 0), "poker")
    assert rules.rejection("http://a.org/pokers") is None
    assert rules.rejection("http://a.org/cash/cash") is None, "one word twice is one word"
    assert rules.rejection("http://win.org/cash") == (Rejection("url_max_soft_banned_words", 2, 1), "cash, win")
    assert rules.rejection("http://a.org/the-free/money") == (Rejection("url_banned_subwords", 1, 0), "freemoney")


def test_an_allowed_domain_is_never_refused(tmp_path):
    (tmp_path / "allowed").write_text("med.org")
    values = {"allowed_domains": str(tmp_path / "allowed")}
    assert UrlRules(UrlSettings.parse(values)).rejection("http://www.med.org/porn") is None
    assert UrlRules(UrlSettings()).rejection("http://www.med.org/porn")[0].reason == "url_banned_words"


def test_measurements_name_every_list_with_its_limit(published):
    assert published.measurements("http://a.org/ass-boobs") == {
        "url_banned_domains": (0, 0),
        "url_banned_urls": (0, 0),
        "url_banned_words": (0, 0),
        "url_soft_banned_words": (2, 1),
        "url_banned_subwords": (0, 0),
    }


labels = st.sampled_from(
    ["www", "porn", "xvideos", "blogspot", "uproxx", "filmdrunk", "a", "B", "adult", "sex", "news"]
)
ends = st.sampled_from(["com", "org", "co.uk", "xxx", "de", "1"])
words = st.text(alphabet="aA-/?.&=%é0", max_size=8) | st.sampled_from(
    ["ass", "Sex", "cum-shot", "teen", "big", "-tits"]
)


@settings(max_examples=60)
@given(host=st.lists(labels, min_size=1, max_size=4), end=ends, path=st.lists(words, max_size=5))
def test_datatrove_refuses_what_we_refuse_but_for_the_differences_that_are_documented(published, host, end, path):
    url = f"http://{'.'.join(host)}.{end}/{'/'.join(path)}"
    assert is_explained(url, published.rejection(url), Peer.shared().reason(url)), url


def test_every_verdict_on_the_real_addresses_is_that_of_datatrove(published):
    import gzip

    lines = gzip.decompress(shared("crawl/gold_text.jsonl.gz").read_bytes()).splitlines()
    urls = [url for line in lines if "example.org" not in (url := json.loads(line)["url"])]
    ours = {url for url in urls if published.rejection(url)}
    assert ours == {url for url in urls if Peer.shared().reason(url)}
    assert 3 <= len(ours) < len(urls) / 100


@pytest.mark.parametrize(
    "hostile",
    ["http://" + "a." * 500_000, "http://strimbat.fr" + "/a" * 500_000, "@" * 1_000_000, "http://" + "a-" * 500_000,
     "http:" + "/" * 1_000_000, "\ud800" * 1000, "http://[" + ":" * 1_000_000, " " * 1_000_000 + "x"],
)  # fmt: skip
def test_a_hostile_address_of_a_megabyte_costs_less_than_a_second(published, hostile):
    start = time.process_time()
    published.rejection(hostile)
    assert time.process_time() - start < 1


def test_a_page_is_refused_before_its_text_is_taken_out(tmp_path, monkeypatch):
    (tmp_path / "banned.txt").write_text("spam.org\n")
    pages = [("http://a.spam.org/", "refused"), ("http://ham.org/", "kept"), (None, prose("lake"))]
    (tmp_path / "a.warc").write_bytes(packed([record(http(html(text)), url) for url, text in pages], ""))
    rules = [{"url": {"banned_domains": str(tmp_path / "banned.txt"), "published_lists": False}}, "c4"]
    job = {"min_score": 0, "rules": rules, "deduplicate": {"exact": False, "minhash": False}}
    with monkeypatch.context() as patch:
        patch.setattr("filters.extract.extract", lambda page, *_: 1 / (b"refused" not in page) and prose("lake"))
        manifest = run(tmp_path / "out", tmp_path / "a.warc", **job)
    assert manifest["counts"]["dropped"] == {"url_banned_domains": 1}
    (refused,) = rows(tmp_path / "out", "dropped/")
    assert (refused["value"], refused["limit"], refused["detail"], refused["text"]) == (1, 0, "spam.org", None)

    (tmp_path / "banned.txt").write_text("ham.org\n")
    run(tmp_path / "out", tmp_path / "a.warc", **{**job, "rules": rules[:1]})
    assert "ham.org" in {row["detail"] for row in rows(tmp_path / "out", "dropped/")}, "another list, another job"


def test_a_list_is_part_of_the_job_by_its_content(tmp_path):
    (tmp_path / "list").write_text("a.org")
    job = Job.parse(
        {"input": "a", "output": "b", "min_score": 1, "rules": [{"url": {"banned_urls": str(tmp_path / "list")}}]}
    )
    first = job.resolved()
    assert first.resolved() == first
    (tmp_path / "list").write_text("b.org")
    assert job.resolved().scan_settings() != first.scan_settings()


def test_rules_for_addresses_come_first():
    with pytest.raises(SettingsError, match=r"rules names 'url' after 'c4'.*name it first"):
        Job.parse({"input": "a", "output": "b", "min_score": 1, "rules": ["c4", "url"]})
