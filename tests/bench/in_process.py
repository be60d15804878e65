"""The library inside another program: answers each line of photos with the number of them.

python tests/bench/in_process.py one|many
"""

import sys

from flowers_onnx import Classifier

classifier = Classifier()
ways = {"one": lambda photos: map(classifier.classify, photos), "many": classifier.classify_many}
classify = ways[sys.argv[1]]
print("ready", flush=True)
for line in sys.stdin:
    print(sum(1 for _ in classify(line.split("\0")[:-1])), flush=True)
