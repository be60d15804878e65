"""Whether the server can do its work: asked often, answered beside the work, never behind it."""

from __future__ import annotations

import asyncio
import math
import time

from flowers_onnx.classifier import Classifier
from flowers_onnx.serve.admission import Admission
from flowers_onnx.serve.keep import Ledger
from flowers_onnx.serve.threads import Threads

#: A photo that is in work for longer has stuck its slot.
STUCK_SECONDS = 1.8
#: The canary takes milliseconds; with all slots at work, some more.
_CANARY_SECONDS = 1.5
#: Probes may come from many sides: one canary is for all of this time.
_FRESH_SECONDS = 1


class Health:
    """The canary, in a thread of its own, and the look at slots and ledger."""

    def __init__(self, classifier: Classifier, admission: Admission, ledger: Ledger) -> None:
        self._classifier, self._admission, self._ledger = classifier, admission, ledger
        self._threads = Threads(1, "flowers-canary")
        self._asked = -math.inf
        self._canary: asyncio.Future[None] | None = None
        self.stopping = False

    async def problem(self) -> str | None:
        """Why no photo should be sent here just now, or None."""
        if self.stopping:
            return "the server is stopping"
        if self._admission.longest() > STUCK_SECONDS:
            return "a photo has been in work for too long"
        if why := self._ledger.problem():
            return why
        return await self._model_problem()

    def check_model(self) -> None:
        """One inference; raises ``ModelError`` if it gives no probabilities."""
        self._classifier.warm_up()

    def close(self) -> None:
        """Ask no more."""
        self._threads.close()

    async def _model_problem(self) -> str | None:
        now = time.monotonic()
        if self._canary is None or (self._canary.done() and now - self._asked > _FRESH_SECONDS):
            self._asked = now
            self._canary = self._threads.run(self.check_model)
        try:
            async with asyncio.timeout(_CANARY_SECONDS):
                await asyncio.shield(self._canary)
        except TimeoutError:
            return "the model doesn't answer"
        except Exception as error:
            return f"the model fails: {error}"
        return None
