"""Shards: what has been shared out among processes once stays so in all versions."""

from __future__ import annotations

import pytest

from flowers_onnx.batch.shard import Shard, assigned_shard, hash64, parse_shard
from flowers_onnx.errors import UsageError

#: Name to its hash, and to the shard it is in where there are 2, 3, 4, 5, 6 and 7 of them.
RECORDED = {
    "gs://photos/2026/a b/00.png": (0xE1D9BDBB72CF56D8, [0, 1, 0, 1, 4, 6]),
    "gs://photos/2026/a b/01.png": (0xD2070A30C0C69F69, [1, 2, 1, 4, 5, 1]),
    "gs://photos/ñandú/🌸.jpg": (0x5EC3DE0645DC87FD, [1, 0, 1, 4, 3, 3]),
    "s3://b/%20#?.jpg": (0x302E63A88C20208C, [0, 0, 0, 0, 0, 5]),
    "file:///p/%FF.jpg": (0xC549F23B4CB924EB, [1, 2, 3, 3, 5, 5]),
    "gs://b/\udcff.jpg": (0xF9649E0480B442EB, [1, 1, 3, 0, 1, 0]),  # what can't be decoded
    "": (0xE4A6A0577479B2B4, [0, 0, 0, 1, 0, 0]),
}


@pytest.mark.parametrize("name", RECORDED, ids=ascii)
def test_the_shard_of_a_name_is_pinned(name: str) -> None:
    number, shards = RECORDED[name]
    assert hash64(name) == number
    for count, index in enumerate(shards, 2):
        assert [Shard(one, count).has(name) for one in range(count)] == [
            one == index for one in range(count)
        ]
    assert Shard().has(name)
    assert Shard() == Shard(0, 1)


def test_the_names_of_shards_are_pinned() -> None:
    assert Shard(3, 4).name("gs://b/r.csv") == "gs://b/r-00003-of-00004.csv"
    assert Shard(0, 2).name("r.csv") == "r-00000-of-00002.csv"
    assert Shard(0, 99_999).suffix == "-00000-of-99999"
    assert Shard().name("r.csv") == "r.csv"


@pytest.mark.parametrize("text", ["0/1", "1/2", "6/7", "99998/99999"])
def test_shards_that_there_are(text: str) -> None:
    index, count = map(int, text.split("/"))
    assert parse_shard("shard", text) == Shard(index, count)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "/", "1/", "/2", "0/0", "1/1", "2/1", "-1/2", "0/-1", "+0/2", "0.5/2", "a/b"),
        *("0/1/2", "0/100000", "000000/2", "99999/99999", "²/4"),
        "\N{ARABIC-INDIC DIGIT ZERO}/2",
    ],
)
def test_shards_that_there_are_not(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shard needs I/N with I from 0 to N - 1"):
        parse_shard("shard", text)


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({}, Shard(0, 1)),
        ({"CLOUD_RUN_TASK_INDEX": "2", "CLOUD_RUN_TASK_COUNT": "3"}, Shard(2, 3)),
        ({"CLOUD_RUN_TASK_COUNT": "3"}, Shard(0, 3)),
    ],
)
def test_the_shard_of_a_task(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], shard: Shard
) -> None:
    for name in ("CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert assigned_shard() == shard
