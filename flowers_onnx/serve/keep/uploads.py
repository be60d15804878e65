"""Photos on their way to a place, a few at a time, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.place import Place

#: At one time, in as many threads.
AT_A_TIME = 16


class Hold:
    """What some holders have in use together: ``release`` is called when the last one is done."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._holders, self._release = 1, release

    def share(self) -> None:
        """One more holder."""
        self._holders += 1

    def drop(self, *_: object) -> None:
        """One holder less."""
        self._holders -= 1
        if not self._holders:
            self._release()


@dataclass(eq=False, slots=True)
class _Upload:
    task: asyncio.Task[None]
    waiting: int = 0
    begun: bool = False


class Uploads:
    """Makes an object of each photo, called by its name; from the event loop's thread alone.

    Equal photos that are on their way at the same time share one upload. One that hasn't begun
    when nobody waits for it any longer never begins.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._uploads: dict[str, _Upload] = {}
        self.photos_written = 0

    async def keep(self, photos: Sequence[KeptPhoto], hold: Hold) -> None:
        """Return when all are there; raises ``StorageError``. What goes on later has a hold."""
        joined = [self._join(photo, hold) for photo in photos]
        try:
            for upload in joined:
                await asyncio.shield(upload.task)
        except StorageError as error:  # many may wait for this one: each gets its own
            raise StorageError(error.code, str(error)) from None
        finally:
            for photo, upload in zip(photos, joined, strict=True):
                self._leave(photo.name, upload)

    def close(self) -> None:
        """Give up what isn't there."""
        for upload in self._uploads.values():
            upload.task.cancel()

    def _join(self, photo: KeptPhoto, hold: Hold) -> _Upload:
        upload = self._uploads.get(photo.name)
        if upload is None:
            upload = self._uploads[photo.name] = _Upload(
                asyncio.create_task(self._write(photo.name, photo.data))
            )
            hold.share()
            upload.task.add_done_callback(hold.drop)
            upload.task.add_done_callback(_retrieve)
        upload.waiting += 1
        return upload

    def _leave(self, name: str, upload: _Upload) -> None:
        upload.waiting -= 1
        if not upload.waiting and not upload.begun:
            upload.task.cancel()
            self._forget(name, upload)

    async def _write(self, name: str, data: bytes) -> None:
        upload = self._uploads[name]
        try:
            async with self._slots:
                upload.begun = True
                if await self._place.create(name, data):
                    self.photos_written += 1
        finally:
            self._forget(name, upload)

    def _forget(self, name: str, upload: _Upload) -> None:
        if self._uploads.get(name) is upload:
            del self._uploads[name]


def _retrieve(task: asyncio.Task[None]) -> None:
    """It is no oversight if nobody asks for the error."""
    if not task.cancelled():
        task.exception()
