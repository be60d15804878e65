"""What the commands beside this folder are made of; none of these modules runs by itself.

Photos: ``dataset`` finds and decodes them, ``augment`` alters them for training, ``drawings``
are pictures that need no data set.

The Keras network: ``efficientnet_lite`` builds it with its ImageNet weights, ``run_folder``
keeps a training run, ``temperature`` makes its confidence honest, ``keras_classifier`` wraps
any other network to the contract of the ONNX file.

The ONNX file: ``onnx_gates`` says what it must be, ``model_metadata`` what it says of itself,
``photo_classifier`` runs it; ``calibration``, ``input_quantization`` and
``weight_quantization`` take it to int8.
"""
