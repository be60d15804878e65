"""A result is made with one model, one language and one length of its lists, unless told."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from support import ROOT, Run, make_row, noise_pictures, result_sink

from flowers_onnx.batch.output import Output
from flowers_onnx.batch.settings import Settings
from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import Label, ModelInfo, Preprocess, Rejection, read_info
from flowers_onnx.results import Candidate, Failure, Prediction, Query, Result
from flowers_onnx.storage.item import Item
from flowers_onnx.tables import SUFFIXES

NUMBERS = itertools.count()
TABLE = "bigquery://project.dataset.results"
LABELS = (
    Label(1, "rose", "Rosa", "rosa"),
    Label(2, "petunia", "Petunia", "petunia"),
    Label("x", "lotus", None, None),
)
MODEL = ModelInfo(
    "m.onnx", "m", "1", LABELS, Preprocess(8, 0.875, "bilinear"), "", "", "", {}
)  # fmt: skip


def answer(query: Query, model: ModelInfo = MODEL, first: int = 0) -> Prediction:
    """What a run with these settings says of a photo of a rose, or of a petunia."""
    labels = (model.labels[first:] + model.labels[:first])[: query.top_k]
    top = tuple(Candidate(one.name(query.lang), one.class_id, 0.5) for one in labels)
    return Prediction(top, None, None, None, 8, 8, model.id)


def continued(
    place: str, settings: Settings, results: Iterable[Result], *, publish: bool = True
) -> None:
    """A run of these settings, with new photos."""
    journal = f"{place.rpartition('/')[2]}.journal"
    with Output(
        result_sink(place), journal, by_version=True, retry_errors=False,
        settings=settings, out=place,
    ) as output:  # fmt: skip
        for result in results:
            item = Item(f"gs://b/{next(NUMBERS)}", "1")
            assert output.claim(item)
            output.add(make_row(item, result, "run", "2026-01-01T00:00:00.000Z"))
        if publish:
            output.publish()


ENGLISH = Settings(MODEL, Query(2))
CHANGED = {
    "--lang en": Settings(MODEL, Query(2, "es")),
    "--top_k 2": Settings(MODEL, Query(3)),
    "the model m/1": Settings(replace(MODEL, version="2"), Query(2)),
    "--top_k 2 --lang en": Settings(MODEL, Query(1, "la")),
    "the model m/1 with other labels": Settings(
        replace(MODEL, labels=(Label(1, "dog", None, None), *LABELS[1:])), Query(2)
    ),
}


@pytest.mark.usefixtures("bigquery")
@pytest.mark.parametrize("place", [*(f"r{suffix}" for suffix in SUFFIXES), TABLE])
@pytest.mark.parametrize("published", [True, False])
def test_another_setting_is_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    failure = Failure("corrupt", "broken", None, None, "m/0")
    # The first two are the same with every setting, nearly.
    continued(place, ENGLISH, [failure, answer(ENGLISH.query, first=1)], publish=published)
    continued(place, ENGLISH, [answer(ENGLISH.query)], publish=published)
    before = [dict(row) for row in result_sink(place).existing()]
    where = place if published else f"{place.rpartition('/')[2]}.journal"
    for made, settings in CHANGED.items():
        with pytest.raises(UsageError) as refused:
            continued(place, settings, [])
        told = str(refused.value)
        assert told.startswith(f"{where} was made with {made}, this run has "), told
        ours = [f"--top_k {settings.query.top_k}", f"--lang {settings.query.lang}"]
        assert all(flag in told for flag in ours if flag.split()[0] in made)
        assert told.endswith(", another --out, or --mix_settings")
    assert [dict(row) for row in result_sink(place).existing()] == before
    continued(place, ENGLISH, [answer(ENGLISH.query)])
    assert len(list(result_sink(place).existing())) == 4


def test_what_says_the_same_is_no_other_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    continued("r.csv", Settings(MODEL, Query(3)), [answer(Query(3))])
    continued("r.csv", Settings(MODEL, Query(99)), [answer(Query(99))])  # there are three
    failure = Failure("corrupt", "broken", None, None, "m/0")
    continued("s.csv", ENGLISH, [failure, answer(Query(1), first=1)], publish=False)
    # A petunia is one in Spanish too.
    (tmp_path / "s.csv.journal").rename("t.csv.journal")
    continued("t.csv", Settings(MODEL, Query(1, "es")), [answer(Query(1, "es"))])


TELLING = replace(MODEL, rejection=Rejection(0.5, "prototypes"))


def told(confidence: float, *, known: bool | None) -> Prediction:
    """A rose, as sure as that."""
    return replace(answer(Query(1)), top=(Candidate("rose", 1, confidence),), known=known)


@pytest.mark.usefixtures("bigquery")
@pytest.mark.parametrize("place", ["r.csv", TABLE])
@pytest.mark.parametrize("published", [True, False])
def test_min_confidence_is_a_setting(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    """Where rows tell that it was another, if they don't say which."""
    monkeypatch.chdir(tmp_path)
    plain, half, most = (Settings(MODEL, Query(1, min_confidence=p)) for p in (None, 0.5, 0.9))
    continued(place, plain, [told(0.7, known=None)], publish=published)
    with pytest.raises(UsageError) as refused:
        continued(place, half, [])
    where = place if published else f"{place.rpartition('/')[2]}.journal"
    assert str(refused.value) == (
        f"{where} was made with no --min_confidence, this run has --min_confidence 0.5; nothing "
        "was done: give no --min_confidence, another --out, or --mix_settings"
    )
    other = "q.csv" if place == "r.csv" else f"{TABLE}_2"
    continued(other, half, [told(0.7, known=True)], publish=published)
    with pytest.raises(UsageError, match=r"was made with .*--min_confidence.*this run has"):
        continued(other, most, [])
    with pytest.raises(UsageError, match=r"was made with .*--min_confidence.*this run has"):
        continued(other, plain, [])
    continued(other, half, [told(0.2, known=False)], publish=published)


def test_a_models_own_rule_and_a_min_confidence_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a journal look the same with both; its note tells."""
    monkeypatch.chdir(tmp_path)
    own, half = Settings(TELLING, Query(1)), Settings(TELLING, Query(1, min_confidence=0.5))
    continued("r.csv", own, [told(0.7, known=True)], publish=False)
    with pytest.raises(UsageError, match=r"made with no --min_confidence, .* 0\.5;"):
        continued("r.csv", half, [])
    continued("s.csv", half, [told(0.7, known=True)], publish=False)
    with pytest.raises(UsageError, match=r"made with --min_confidence 0\.5, this run has no --min"):
        continued("s.csv", own, [])
    continued("s.csv", half, [told(0.8, known=True)], publish=False)
    notes = [line for line in Path("s.csv.journal").read_bytes().splitlines() if b"made" in line]
    assert notes == [b'{"made_with": {"min_confidence": 0.5}}']
    # A model that could tell has made them, or it hadn't its rule yet.
    continued("t.csv", Settings(MODEL, Query(1)), [told(0.7, known=None)], publish=False)
    with pytest.raises(UsageError, match="the model m/1 without its rule for what is known"):
        continued("t.csv", own, [])


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    noise_pictures(folder, 4, seed=7)
    return folder


def test_the_command_refuses_and_a_flag_allows(flowers: Run, album: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(album, tmp_path / "photos")
    assert flowers("batch", photos, "--out", "made.jsonl").returncode == 1
    (tmp_path / "made.jsonl").rename(tmp_path / "moved.jsonl")  # and its record isn't
    command = ("batch", photos, "--out", "moved.jsonl", "--lang", "es", "--top_k", "3")
    before = (tmp_path / "moved.jsonl").read_bytes()
    done = flowers(*command)
    assert done.returncode == 2
    assert done.stderr == (
        b"flowers: moved.jsonl was made with --top_k 5 --lang en, this run has --top_k 3 "
        b"--lang es; nothing was done: give --top_k 5 --lang en, another --out, or "
        b"--mix_settings\n"
    )
    assert (tmp_path / "moved.jsonl").read_bytes() == before
    shutil.copy(album / "00.png", photos / "new.png")
    assert flowers(*command, "--mix_settings").returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "moved.jsonl").read_bytes().splitlines()]
    assert Counter(len(row["top"]) for row in rows) == {0: 1, 5: 4, 3: 1}
    fp32 = ROOT / "model" / "flowers-fp32.onnx"
    done = flowers("batch", album, "--out", "moved.jsonl", "--model", fp32)
    assert done.returncode == 2
    assert f"this run has {read_info(fp32).id};".encode() in done.stderr


def test_a_min_confidence_is_told_by_the_record(flowers: Run, album: Path, tmp_path: Path) -> None:
    """Noise is known from 0 on, and the rows of a model that can tell may look the same."""
    command = ("batch", album, "--out", "r.jsonl")
    done = flowers(*command, "--min_confidence", "0")
    assert done.returncode == 1
    assert b"4 named, 1 failed" in done.stderr
    done = flowers(*command)
    assert done.returncode == 2
    assert done.stderr == (
        b"flowers: r.jsonl was made with --min_confidence 0.0, this run has no --min_confidence; "
        b"nothing was done: give --min_confidence 0.0, another --out, or --mix_settings\n"
    )
    done = flowers("batch", album, "--out", "n.jsonl", "--min_confidence", "1")
    assert b"0 named, 4 not known, 1 failed" in done.stderr
    record = json.loads((tmp_path / "n.jsonl.run.json").read_text())
    assert (record["counts"]["ok"], record["counts"]["not_known"], record["labels"]) == (4, 4, {})
    (tmp_path / "n.jsonl.run.json").unlink()
    done = flowers("batch", album, "--out", "n.jsonl", "--min_confidence", "0")
    assert b"n.jsonl was made with another --min_confidence or none" in done.stderr
    assert flowers(*command, "--mix_settings").returncode == 0


def test_shards_of_one_result_are_made_alike(flowers: Run, album: Path, tmp_path: Path) -> None:
    def run(shard: str, lang: str, *more: str) -> int:
        done = flowers("batch", album, "--out", "r.csv", "--shard", shard, "--lang", lang, *more)
        if done.returncode == 2:
            other = tmp_path / "r-00001-of-00002.csv"
            assert f"{other} was made with --lang la, this run has --lang en" in str(done.stderr)
        return done.returncode

    assert run("1/2", "la") != 2
    assert run("0/2", "en") == 2
    assert run("0/3", "en") != 2
    assert run("0/2", "la") != 2
    assert run("0/2", "la") == 0
