"""A network in onnxruntime: a run takes one core, or several where its photo is the only one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakSet

import onnxruntime as ort

from flowers_onnx.forks import ForkGate, after_fork

_ERRORS_ONLY = 3
#: The most for one photo: on two it takes three quarters of the time; more were never measured.
MAX_CORES = 2
#: Photos alone, one after the other, until a second session is made: it costs as much time as it
#: has saved after six more.
_PAYS_AFTER = 8


class _Photos:
    """The threads of this process that have a photo in work, from its file to its answer."""

    def __init__(self) -> None:
        self._threads: set[int] = set()
        after_fork(lambda: self._threads.intersection_update({threading.get_ident()}))

    def __enter__(self) -> None:
        self._threads.add(threading.get_ident())

    def __exit__(self, *_error: object) -> None:
        self._threads.discard(threading.get_ident())

    @property
    def only_ours(self) -> bool:
        """Whether this thread has one in work, and no other has."""
        return self._threads == {threading.get_ident()}


#: For ``with``, around all work on a photo.
PHOTOS = _Photos()


class Network:
    """An ONNX file, or the bytes of one, loaded; safe to share between threads.

    A run takes the calling thread and no other. Where its photo is the only one in work, and so
    were some before, it takes up to ``cores`` of them by a second session, which is made then:
    5 MB. Nothing spins: a core that another process needs is given up. Before a fork, threads
    and session go; who needs them afterwards, parent or child, makes them again.

    Raises what onnxruntime raises.
    """

    def __init__(self, model: str | bytes, cores: int) -> None:
        self._model, self._cores = model, min(cores, MAX_CORES)
        self._single: Any = _load(model, 1)
        self._parallel: Any = None
        self._alone = 0
        _networks.add(self)

    def get_inputs(self) -> Any:
        """Those of the file, as onnxruntime gives them."""
        return self._single.get_inputs()

    def get_outputs(self) -> Any:
        """Those of the file, as onnxruntime gives them."""
        return self._single.get_outputs()

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """The named outputs; the same to the bit on any number of cores."""
        with _runs:
            return list(self._session().run(outputs, inputs))

    def let_go(self) -> None:
        """Stop the threads of the second session, if it is there."""
        self._parallel, self._alone = None, 0

    def _session(self) -> Any:
        if self._cores == 1:
            return self._single
        if not PHOTOS.only_ours:
            self._alone = 0
            return self._single
        self._alone += 1
        if self._parallel is None and self._alone > _PAYS_AFTER:
            try:
                self._parallel = _load(self._model, self._cores)
            except Exception:  # too little memory, no more threads, the file is gone
                self._cores = 1
        return self._parallel or self._single


def _load(model: str | bytes, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # One photo at a time has nothing to gain from an arena that keeps its peak.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    # Without what onnxruntime calls a fallback: the same again, and a message on standard output.
    return ort.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def _let_go() -> None:
    for network in list(_networks):
        network.let_go()


_networks: WeakSet[Network] = WeakSet()
#: onnxruntime has locks, which it holds for longer in the first runs; and a child that ended
#: threads of its parent, as the end of a session does, would crash.
_runs = ForkGate(_let_go)
