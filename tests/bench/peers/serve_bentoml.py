"""The classifier behind BentoML, as BentoML's documentation has image services.

bentoml serve tests/bench/peers/serve_bentoml.py:Flowers

A form with a file, and as many workers as there are CPUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from flowers_onnx import Classifier


@bentoml.service(workers="cpu_count", traffic={"timeout": 30})
class Flowers:
    """One worker."""

    def __init__(self) -> None:
        self.classifier = Classifier(threads=1)

    @bentoml.api  # type: ignore[untyped-decorator]
    def classify(self, photo: Annotated[Path, ContentType("image/*")]) -> dict[str, Any]:
        return dict(self.classifier.classify(str(photo)).to_record())
