"""The parts of a running server, made from its options and held together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowers_onnx import __version__
from flowers_onnx.classifier import Classifier
from flowers_onnx.environment import installation_facts, new_run_id
from flowers_onnx.errors import ModelError
from flowers_onnx.explanation import is_explainable
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.machine import allowed_cpus
from flowers_onnx.serve.admission import Admission
from flowers_onnx.serve.health import Health
from flowers_onnx.serve.idempotency import Answers
from flowers_onnx.serve.keep import Ledger
from flowers_onnx.serve.keep.answers import open_answers
from flowers_onnx.serve.keep.ledgers import open_ledger
from flowers_onnx.serve.keys import Authenticator
from flowers_onnx.serve.keys.auth import open_authenticator
from flowers_onnx.serve.log import Log
from flowers_onnx.serve.metrics import Metrics
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.page.page import Page

if TYPE_CHECKING:
    from flowers_onnx.serve.trace.fresh import Fresh

#: Bodies in memory at a time, in units of the largest one allowed.
_BODIES = 2


@dataclass(frozen=True)
class Service:
    """One server: what its routes work with."""

    options: Options
    instance: str
    classifier: Classifier
    #: What ``/v1/model`` tells.
    model_facts: dict[str, Any]
    #: Whether the network has a map that tells why.
    explainable: bool
    authenticator: Authenticator
    admission: Admission
    ledger: Ledger
    fresh: Fresh | None
    answers: Answers
    health: Health
    metrics: Metrics
    log: Log
    page: Page

    @property
    def traces(self) -> bool:
        """Whether anybody wants rows."""
        return bool(self.options.trace or self.options.fresh)


def open_service(options: Options) -> Service:
    """Load the model and open what is asked for; nothing is begun. Raises ``FlowersError``."""
    instance = new_run_id()
    authenticator = open_authenticator(options)
    ledger = open_ledger(options, instance)
    fresh = None
    if options.fresh:
        from flowers_onnx.serve.trace.fresh import Fresh

        fresh = Fresh(options.fresh)
    slots = options.slots or allowed_cpus()
    classifier = Classifier(
        options.model, threads=slots, max_pixels=options.max_pixels or MAX_PIXELS
    )
    try:  # what is told of the model's file is of the one that was loaded a moment ago
        facts, explainable = installation_facts(classifier), is_explainable(classifier.info)
    except OSError as error:
        raise ModelError(
            f"can't read the model {classifier.info.path}: {error.strerror}"
        ) from error
    # At four fifths of what it can do, 99 of 100 answers then take three photos' time or less.
    queue = slots + slots // 2 if options.queue is None else options.queue
    admission = Admission(slots, queue, _BODIES * options.max_body)
    log = Log(options.log_format)

    def gauges() -> dict[str, float]:
        return {
            "slots": slots,
            "slots_busy": admission.in_work,
            "requests_admitted": admission.admitted,
            "body_bytes_free": admission.body_bytes,
            "log_lines_dropped_total": log.dropped,
            **ledger.gauges(),
            **(fresh.gauges() if fresh else {}),
        }

    return Service(
        options,
        instance,
        classifier,
        facts,
        explainable,
        authenticator,
        admission,
        ledger,
        fresh,
        open_answers(ledger),
        Health(classifier, admission, ledger),
        Metrics(gauges),
        log,
        Page(
            auth=authenticator.kind,
            keeps=bool(options.keep),
            traces=bool(options.trace or options.fresh),
            keep_exif=options.keep_exif,
            max_body=options.max_body,
            version=__version__,
            model=classifier.info.id,
            labels=classifier.info.labels,
            explains=explainable,
            rejects=bool(classifier.info.rejection) or options.query.min_confidence is not None,
        ),
    )
