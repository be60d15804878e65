"""The classifier behind LitServe, as LitServe's documentation has image classifiers.

python tests/bench/peers/serve_litserve.py PORT WORKERS

A form with a file, a worker process for each CPU, no batches: they cost an engine that runs one
photo at a time only the wait for others. Annotations are needed as they are: LitServe reads them.
"""

import sys
from typing import Any

import litserve
from fastapi import UploadFile

from flowers_onnx import Classifier


class Flowers(litserve.LitAPI):  # type: ignore[misc]
    """One worker."""

    def setup(self, device: str) -> None:
        self.classifier = Classifier(threads=1)

    def decode_request(self, request: UploadFile) -> bytes:
        content: bytes = request.file.read()
        return content

    def predict(self, photo: bytes) -> Any:
        return self.classifier.classify(photo)

    def encode_response(self, result: Any) -> dict[str, Any]:
        return dict(result.to_record())


if __name__ == "__main__":
    port, workers = map(int, sys.argv[1:])
    server = litserve.LitServer(Flowers(), accelerator="cpu", workers_per_device=workers)
    server.run(port=port, host="127.0.0.1", generate_client_file=False, log_level="warning")
