"""Two results and their records, as version 1.1 has them."""

from __future__ import annotations

from flowers_onnx.results import Candidate, Failure, Prediction

GOOD = Prediction(
    (Candidate("tusílago", 7, 0.1 + 0.2), Candidate("ñ", "x", 1e-12)),
    "Tussilago farfara",
    "fotos/ñandú.jpg",
    "ab" * 32,
    3,
    4,
    "flowers/1.0",
    known=True,
    prediction_set=(Candidate("tusílago", 7, 0.1 + 0.2),),
)
FAILED = Failure("is_empty", "the file is empty", "año.jpg", None, "flowers/1.0")

GOOD_LINE = (
    '{"schema": "1.1", "path": "fotos/ñandú.jpg", "status": "ok", "label": "tusílago", '
    '"class_id": 7, "scientific_name": "Tussilago farfara", '
    '"confidence": 0.30000000000000004, "known": true, "top": [{"label": "tusílago", '
    '"class_id": 7, "confidence": 0.30000000000000004}, {"label": "ñ", "class_id": "x", '
    '"confidence": 1e-12}], '
    '"prediction_set": [{"label": "tusílago", "class_id": 7, "confidence": 0.30000000000000004}], '
    '"sha256": "abababababababababababababababababababababababababababababababab", '
    '"width": 3, "height": 4, "model": "flowers/1.0", "error": null}'
)
FAILED_LINE = (
    '{"schema": "1.1", "path": "año.jpg", "status": "error", "label": null, '
    '"class_id": null, "scientific_name": null, '
    '"confidence": null, "known": null, "top": [], "prediction_set": [], "sha256": null, '
    '"width": null, "height": null, "model": "flowers/1.0", '
    '"error": {"code": "is_empty", "message": "the file is empty"}}'
)
