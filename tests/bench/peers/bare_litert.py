"""The least that can name a flower with LiteRT: import, load, decode, run.

python tests/bench/peers/bare_litert.py MODEL.tflite PHOTO
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(source,) = interpreter.get_input_details()
_, *size, _ = source["shape"]
image = Image.open(sys.argv[2]).convert("RGB").resize(size, Image.Resampling.BILINEAR)
interpreter.set_tensor(source["index"], np.asarray(image)[None])
interpreter.invoke()
print(int(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].argmax()))
