"""What the commands beside this folder are made of; none of these modules runs by itself.

Photos: ``layout`` and ``dataset`` find and decode them, ``training_set`` says which are learned
from and which judge, ``sampling`` makes an epoch of them, ``views`` and ``augment`` are what the
network is shown; ``drawings`` and ``corruptions`` need no data set.

The Keras network: ``efficientnet_lite`` builds it with its ImageNet weights, ``student`` is what
learns, ``temperature`` makes its confidence honest, ``run_folder`` and ``curves`` keep a training
run, ``keras_classifier`` wraps any other network to the contract of the ONNX file.

The ONNX file: ``onnx_gates`` says what it must be, ``model_metadata`` what it says of itself,
``photo_classifier`` runs it; ``calibration``, ``input_quantization`` and
``weight_quantization`` take it to int8; ``rejection/`` lets it know what it doesn't know.

How good it is: ``scores``, ``comparison`` and ``tables``; ``error_study``, ``likeness`` and
``contact_sheets``; ``pace``, ``verdict`` and ``placing`` promote a file.
"""
