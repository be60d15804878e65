"""The library inside another program: classifies each line of photos, answers with their number.

python tests/bench/in_process.py one|many
"""

import sys

from flowers_onnx import Classifier

classifier = Classifier()
print("ready", flush=True)
for line in sys.stdin:
    photos = line.split("\0")[:-1]
    if sys.argv[1] == "many":
        named = [result for result in classifier.classify_many(photos) if result.ok]
    else:
        named = [classifier.classify(photo) for photo in photos]
    print(len(named), flush=True)
