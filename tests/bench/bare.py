"""The least that can name a flower: import, load, decode, run. The yardstick for start-up.

python tests/bench/bare.py MODEL PHOTO
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
_, *size, _ = session.get_inputs()[0].shape
image = Image.open(sys.argv[2]).convert("RGB").resize(size, Image.Resampling.BILINEAR)
(probabilities,) = session.run(["probabilities"], {"image": np.asarray(image)[None]})
print(int(probabilities[0].argmax()))
