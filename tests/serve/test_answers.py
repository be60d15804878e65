"""Idempotency-Key: the same answer again, and nobody answers twice at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.idempotency import Answer, Answers
from flowers_onnx.serve.keep import answers as module
from flowers_onnx.serve.keep import bucket_answers
from flowers_onnx.serve.keep.answers import open_answers
from flowers_onnx.serve.keep.ledgers import open_ledger
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.problems import Problem

ANSWER = Answer("fingerprint", "request", 200, '{"label": "dahlia"}')


@contextlib.asynccontextmanager
async def opened(options: Options) -> AsyncIterator[Answers]:
    ledger = open_ledger(options, "test")
    await ledger.start()
    try:
        yield open_answers(ledger)
    finally:
        await ledger.close()


def options_of(durability: str, folder: Path) -> Options:
    more: dict[str, Any] = {"spool": str(folder / "spool.sqlite")} if durability == "spool" else {}
    return Options(trace=str(folder / "trace"), durability=durability, **more)


@pytest.fixture(params=["strict", "spool", "best-effort"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Options:
    return options_of(request.param, tmp_path)


async def refused(answers: Answers, key: str, fingerprint: str) -> int:
    with pytest.raises(Problem) as problem:
        await answers.claim(key, fingerprint)
    return problem.value.status


def test_the_first_answer_is_given_again(options: Options) -> None:
    async def work() -> None:
        async with opened(options) as answers:
            assert await answers.claim("ada\nkey", "fingerprint") is None
            await answers.finish("ada\nkey", ANSWER)
            for _ in range(2):
                assert await answers.claim("ada\nkey", "fingerprint") == ANSWER
            assert await refused(answers, "ada\nkey", "other") == 422
            assert await answers.claim("bob\nkey", "other") is None

    asyncio.run(work())


def test_while_it_is_answered_others_are_refused(options: Options) -> None:
    async def work() -> None:
        async with opened(options) as answers:
            claims = [answers.claim("key", "fingerprint") for _ in range(5)]
            done = await asyncio.gather(*claims, return_exceptions=True)
            assert done.count(None) == 1
            assert {each.status for each in done if isinstance(each, Problem)} == {409}
            with pytest.raises(Problem) as problem:
                await answers.claim("key", "fingerprint")
            assert problem.value.headers == {"Retry-After": "1"}
            assert await refused(answers, "key", "other") == 422

    asyncio.run(work())


def test_what_was_released_is_answered_by_the_next(options: Options) -> None:
    async def work() -> None:
        async with opened(options) as answers:
            for _ in range(3):
                assert await answers.claim("key", "fingerprint") is None
                await answers.release("key")
                await asyncio.sleep(0.1)  # the bucket is told behind the answer
            assert await answers.claim("key", "fingerprint") is None
            await answers.finish("key", ANSWER)
            assert await answers.claim("key", "fingerprint") == ANSWER

    asyncio.run(work())


@pytest.mark.parametrize("durability", ["strict", "spool"])
def test_answers_outlive_the_process(durability: str, tmp_path: Path) -> None:
    options = options_of(durability, tmp_path)

    async def first() -> None:
        async with opened(options) as answers:
            await answers.claim("key", "fingerprint")
            await answers.finish("key", ANSWER)

    async def second() -> None:
        async with opened(options) as answers:
            assert await answers.claim("key", "fingerprint") == ANSWER

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("durability", ["spool", "best-effort"])
def test_answers_expire(durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TTL_SECONDS", 0.05)

    async def work() -> None:
        async with opened(options_of(durability, tmp_path)) as answers:
            await answers.claim("key", "fingerprint")
            await answers.finish("key", ANSWER)
            await asyncio.sleep(0.1)
            assert await answers.claim("key", "other") is None

    asyncio.run(work())


@pytest.mark.parametrize("durability", ["spool", "best-effort"])
@pytest.mark.parametrize(
    ("limit", "most"), [("MAX_ANSWERS", 3), ("MAX_BYTES", 3 * len(ANSWER.body))]
)
def test_the_oldest_answers_go_when_there_are_too_many(
    durability: str, limit: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, most)
    monkeypatch.setattr(module, "WEIGH_EVERY", 1)

    async def work() -> None:
        async with opened(options_of(durability, tmp_path)) as answers:
            for number in range(5):
                await answers.claim(str(number), "fingerprint")
                await answers.finish(str(number), ANSWER)
            found = [await answers.claim(str(number), "fingerprint") for number in range(5)]
            assert found == [None, None, ANSWER, ANSWER, ANSWER]

    asyncio.run(work())


def test_instances_share_the_bucket(tmp_path: Path) -> None:
    options = options_of("strict", tmp_path)

    async def work() -> None:
        async with opened(options) as one, opened(options) as two:
            both = [answers.claim("key", "fingerprint") for answers in (one, two)]
            first, second = await asyncio.gather(*both, return_exceptions=True)
            assert (first is None) != (second is None)
            winner, loser = (one, two) if first is None else (two, one)
            assert await refused(loser, "key", "fingerprint") == 409
            assert await refused(loser, "key", "other") == 422
            await winner.finish("key", ANSWER)
            assert await loser.claim("key", "fingerprint") == ANSWER

    asyncio.run(work())
    names = [path.name for path in (tmp_path / "trace" / "idempotency").rglob("*")]
    assert not any("key" in name for name in names)


def test_the_claim_of_a_dead_instance_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_of("strict", tmp_path)

    async def work() -> None:
        async with opened(options) as dead, opened(options) as one, opened(options) as two:
            assert await dead.claim("key", "fingerprint") is None
            assert await refused(one, "key", "fingerprint") == 409
            monkeypatch.setattr(bucket_answers, "CLAIM_SECONDS", 0)
            await asyncio.sleep(0.01)
            assert await one.claim("key", "fingerprint") is None
            monkeypatch.setattr(bucket_answers, "CLAIM_SECONDS", 60)
            assert await refused(two, "key", "fingerprint") == 409
            await one.finish("key", ANSWER)
            # It was only slow. The first answer stays.
            await dead.finish("key", Answer("fingerprint", "late", 200, "{}"))
            assert await two.claim("key", "fingerprint") == ANSWER

    asyncio.run(work())


def test_a_claim_whose_answer_was_lost_on_the_way_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that is repeated by the store finds its own object, and says False."""

    async def work() -> None:
        async with opened(options_of("strict", tmp_path)) as answers:
            assert isinstance(answers, bucket_answers.BucketAnswers)
            create = answers._place.create

            async def twice(name: str, data: bytes) -> bool:
                await create(name, data)
                return await create(name, data)

            monkeypatch.setattr(answers._place, "create", twice)
            assert await answers.claim("key", "fingerprint") is None

    asyncio.run(work())


def test_a_claim_that_is_cancelled_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow bucket makes it all the same, behind the client's 503."""
    options = options_of("strict", tmp_path)

    async def work() -> None:
        async with opened(options) as slow, opened(options) as other:
            assert isinstance(slow, bucket_answers.BucketAnswers)
            create, arrives = slow._place.create, asyncio.Event()

            async def late(name: str, data: bytes) -> bool:
                await arrives.wait()
                return await create(name, data)

            monkeypatch.setattr(slow._place, "create", late)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await slow.claim("key", "fingerprint")
            assert await refused(slow, "key", "fingerprint") == 409  # it is under way
            arrives.set()
            folder = tmp_path / "trace" / "idempotency"
            async with asyncio.timeout(PATIENCE):
                while not list(folder.glob("*/released-1")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await other.claim("key", "fingerprint") is None
            await other.finish("key", ANSWER)
            assert await slow.claim("key", "fingerprint") == ANSWER

    asyncio.run(work())


def test_an_answer_whose_claim_is_gone_is_no_answer_to_another_request(tmp_path: Path) -> None:
    """The bucket's lifecycle rule ends an object when it likes, and claims are older."""

    async def work() -> None:
        async with opened(options_of("strict", tmp_path)) as answers:
            await answers.claim("key", "fingerprint")
            await answers.finish("key", ANSWER)
            (claim,) = (tmp_path / "trace" / "idempotency").glob("*/claim-1")
            claim.unlink()
            assert await answers.claim("key", "other") is None
            await answers.finish("key", Answer("other", "second", 200, "{}"))
            assert await refused(answers, "key", "other") == 409

    asyncio.run(work())


def test_a_bucket_that_fails_leaves_nothing_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with opened(options_of("strict", tmp_path)) as answers:
            folder = tmp_path / "trace" / "idempotency"
            folder.write_bytes(b"in the way")
            with pytest.raises(StorageError):
                await answers.claim("key", "fingerprint")
            with pytest.raises(StorageError):  # at once
                await answers.claim("key", "fingerprint")
            folder.unlink()
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(StorageError):
                        assert await answers.claim("key", "fingerprint") is None
                        break
                    await asyncio.sleep(0.1)

    asyncio.run(work())


def test_whose_memory_it_is_is_said(tmp_path: Path) -> None:
    def scope(options: Options) -> str:
        return open_answers(open_ledger(options, "i")).scope

    assert "all instances" in scope(options_of("strict", tmp_path))
    assert "this machine's spool" in scope(options_of("spool", tmp_path))
    assert "this process" in scope(Options(keep=str(tmp_path), durability="strict"))
    assert "this process" in scope(Options())
