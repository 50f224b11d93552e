"""A corpus on a file system without atomic rename: only the manifest is trusted, and an interruption heals."""

import hashlib
import json
import random
from itertools import count

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from common.errors import EduSieveError, SettingsError
from common.files import file_entries, read_manifest, write_json
from filters import educational, stages
from filters.job import Job
from filters.remote import Target
from tests.filters.crawls import FakeScorer, write_crawl

URL = "fragile://bucket/corpora/web"


class Killed(BaseException):
    """The process ends here."""


class FragileFileSystem(MemoryFileSystem):
    """Renames by copying and deleting, and may end in the middle of any write: the half stays under the final name."""

    protocol = "fragile"
    store, pseudo_dirs = {}, [""]
    bytes_left = None  # None: as many as it takes
    refuses = False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("fragile://", "memory://"))

    def pipe_file(self, path, value, **_):
        self.refuse()
        cls = type(self)
        if cls.bytes_left is not None:
            if cls.bytes_left < len(value):
                super().pipe_file(path, value[: cls.bytes_left])
                cls.bytes_left = 0
                raise Killed
            cls.bytes_left -= len(value)
        super().pipe_file(path, value)

    def put_file(self, lpath, rpath, **_):
        with open(lpath, "rb") as stream:
            self.pipe_file(rpath, stream.read())

    def rm_file(self, path):
        self.refuse()
        super().rm_file(path)

    def mv(self, *_, **__):
        raise AssertionError("this file system has no atomic rename, and none must be asked for")

    def refuse(self):
        if type(self).refuses:
            raise PermissionError("access denied")


@pytest.fixture(autouse=True)
def store(monkeypatch):
    from fsspec import register_implementation

    register_implementation("fragile", FragileFileSystem, clobber=True)
    monkeypatch.setattr(FragileFileSystem, "store", {})
    monkeypatch.setattr(FragileFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(FragileFileSystem, "bytes_left", None)
    monkeypatch.setattr(FragileFileSystem, "refuses", False)
    return FragileFileSystem()


def make_corpus(folder, contents, version):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "report.html").write_text(f"report {version}")
    write_json(folder / "manifest.json", {"key": version, "files": file_entries(folder, dict.fromkeys(contents, 1))})
    return folder


def trusted(store):
    """The corpus as a reader sees it: None without a readable manifest; each file that one lists must be whole."""
    try:
        manifest = json.loads(store.cat_file("/bucket/corpora/web/manifest.json"))
    except (FileNotFoundError, ValueError):
        return None
    for entry in manifest["files"]:
        content = store.cat_file(f"/bucket/corpora/web/{entry['path']}")
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    return manifest["key"]


def contents_of(chance, parts):
    names = [f"{kind}part-{number:05}.parquet" for number in range(parts) for kind in ("", "dropped/")]
    return {name: chance.randbytes(40) for name in names}


def test_an_interrupted_copy_is_never_trusted_and_a_rerun_heals_it(tmp_path, store):
    chance = random.Random(5)
    old = make_corpus(tmp_path / "old", contents_of(chance, 3), "old")
    new = make_corpus(tmp_path / "new", contents_of(chance, 2), "new")
    total = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    for first_stop in [*range(0, total, 61), total - 1]:
        Target(URL).publish(old, tmp_path / "journals")
        assert trusted(store) == "old"
        for stop in count(first_stop, 97):  # killed again and again, a little later each time
            FragileFileSystem.bytes_left = stop
            try:
                Target(URL).publish(new, tmp_path / "journals")
                break
            except Killed:
                assert trusted(store) in {None, "new"}  # new: all but the last line end of the manifest is there
            finally:
                FragileFileSystem.bytes_left = None
        assert trusted(store) == "new"
        found = {name.removeprefix("/bucket/corpora/web/") for name in store.find("/bucket")}
        assert found == {entry["path"] for entry in read_manifest(new)["files"]} | {"manifest.json", "report.html"}


def test_only_what_is_missing_is_copied_again(tmp_path, store, monkeypatch):
    corpus = make_corpus(tmp_path / "new", contents_of(random.Random(1), 3), "new")
    FragileFileSystem.bytes_left = 130  # three files of six
    with pytest.raises(Killed):
        Target(URL).publish(corpus, tmp_path / "journals")
    FragileFileSystem.bytes_left = None
    store.pipe_file("/bucket/corpora/web/part-00000.parquet", b"another hand" * 3 + b"1234")  # of equal size
    copied = []
    original = FragileFileSystem.put_file
    monkeypatch.setattr(FragileFileSystem, "put_file", lambda self, a, b: (copied.append(b), original(self, a, b)))
    Target(URL).publish(corpus, tmp_path / "journals")
    assert trusted(store) == "new"
    assert len(copied) == 6 - 3 + 1 + 2  # the rest, the one that was changed, report and manifest
    assert copied[-1].endswith("/manifest.json") and any("part-00000" in name for name in copied)
    copied.clear()
    Target(URL).publish(corpus, tmp_path / "journals")
    assert copied == []


def test_a_refusal_is_one_line_that_says_where_the_corpus_is(tmp_path):
    corpus = make_corpus(tmp_path / "new", contents_of(random.Random(1), 1), "new")
    FragileFileSystem.refuses = True
    with pytest.raises(EduSieveError, match=r"cannot publish .* to fragile://.*: access denied; it is whole in .*new"):
        Target(URL).publish(corpus, tmp_path / "journals")


def test_a_place_that_holds_something_else_is_refused(store):
    store.pipe_file("/bucket/corpora/web/thesis.tex", b"x")
    with pytest.raises(SettingsError, match=r"holds 'thesis\.tex', which is not part of a corpus"):
        Target(URL).check()


def test_a_url_that_nobody_knows_is_refused():
    with pytest.raises(SettingsError, match=r"output nothing://x: .*nothing"):
        Target("nothing://x")


def test_a_job_publishes_what_it_makes_in_its_work_folder(tmp_path, store, monkeypatch):
    monkeypatch.setattr(educational, "load_scorer", lambda classifier: FakeScorer())
    work, crawl = tmp_path / "work", write_crawl(tmp_path / "crawl", files=1, pages_each=3)
    job = Job.parse(
        {"input": str(crawl), "min_score": 0, "rules": ["gopher_quality"], "output": URL, "work": str(work)}
    )
    FragileFileSystem.bytes_left = 3000
    with pytest.raises(Killed):
        stages.run(job)
    assert trusted(store) is None
    FragileFileSystem.bytes_left = None
    manifest = stages.run(job)
    assert trusted(store) == manifest["key"] and stages.preview(job)["finished"]
    for name in ["manifest.json", "report.html", *(entry["path"] for entry in manifest["files"])]:
        assert store.cat_file(f"/bucket/corpora/web/{name}") == (work / name).read_bytes()
    store.rm_file("/bucket/corpora/web/part-00000.parquet")
    assert not stages.preview(job)["finished"]
    mount = job.model_copy(update={"output": str(tmp_path / "mount")})
    assert stages.run(mount) == manifest == read_manifest(tmp_path / "mount")


def test_each_corpus_of_several_budgets_has_its_place(tmp_path, store, monkeypatch):
    monkeypatch.setattr(educational, "load_scorer", lambda classifier: FakeScorer())
    crawl = write_crawl(tmp_path / "crawl", files=1, pages_each=3)
    work = str(tmp_path / "work")
    job = Job.parse(
        {
            "input": str(crawl),
            "budgets": [200, 400],
            "rules": ["gopher_quality"],
            "output": "fragile://bucket",
            "work": work,
        }
    )
    manifests = stages.run_all(job)
    assert list(manifests) == ["fragile://bucket/200", "fragile://bucket/400"]
    for place, manifest in manifests.items():
        assert json.loads(store.cat_file(f"{place}/manifest.json")) == manifest
    plain = job.model_copy(update={"budgets": None, "budget_tokens": 400})
    stages.run(plain)
    for place in ("", "/200", "/400"):
        assert store.exists(f"/bucket{place}/part-00000.parquet")


@pytest.mark.parametrize(
    ("output", "work", "message"),
    [
        ("s3://bucket/web", None, "output 's3://bucket/web' is no folder: set work to a folder"),
        ("out", "s3://bucket/work", "work 's3://bucket/work' is no folder"),
        ("out", "out", "work and output are the same folder, 'out'"),
    ],
)
def test_a_job_that_cannot_be_published_so_is_refused(output, work, message):
    with pytest.raises(SettingsError, match=message):
        Job.parse({"input": "a.jsonl", "min_score": 0, "output": output, "work": work})
