"""Which ledger a server has."""

from __future__ import annotations

import os
from typing import get_args

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keep import Durability, Ledger
from flowers_onnx.serve.keep.best_effort import BestEffortLedger, NoLedger
from flowers_onnx.serve.keep.spool import SpoolLedger
from flowers_onnx.serve.keep.strict import StrictLedger
from flowers_onnx.serve.options import Options

#: Cloud Run sets it.
_CLOUD_RUN = "K_SERVICE"


def open_ledger(options: Options, instance: str) -> Ledger:
    """The ledger that is asked for; without a word of it strict in Cloud Run, else spool.

    Nothing is begun yet. Raises ``UsageError`` for what can't be meant.
    """
    asked = options.durability
    if asked is not None and asked not in get_args(Durability):
        raise UsageError(f"--durability is strict, spool or best-effort, not {asked}")
    if not options.keep and not options.trace:
        if asked or options.spool:
            flag = "--durability" if asked else "--spool"
            raise UsageError(f"{flag} is of what is kept: give --keep, --trace or both")
        return NoLedger()
    in_cloud_run = _CLOUD_RUN in os.environ
    durability = asked or ("strict" if in_cloud_run else "spool")
    if options.spool and durability != "spool":
        raise UsageError(f"--spool is for --durability spool, and this is {durability}")
    places = (options.keep, options.trace, instance)
    if durability == "strict":
        return StrictLedger(*places)
    if durability == "best-effort":
        return BestEffortLedger(*places)
    if in_cloud_run:
        raise UsageError(
            "--durability spool promises nothing in Cloud Run, whose disk is memory: use strict"
        )
    return SpoolLedger(*places, options.spool or default_spool(), options.spool_bytes)


def default_spool() -> str:
    """Where a spool is if nobody says: systemd's folder for the service, or the user's."""
    if state := os.environ.get("STATE_DIRECTORY"):
        return os.path.join(state.split(":")[0], "spool.sqlite")
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "flowers-onnx", "spool.sqlite")
