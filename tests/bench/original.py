"""The way of the project that this one replaces: TensorFlow for one photo.

python tests/bench/original.py MODEL.keras PHOTO
"""

import sys

import numpy as np
import tensorflow as tf

model = tf.keras.models.load_model(sys.argv[1])
image = tf.keras.utils.load_img(sys.argv[2], target_size=model.input_shape[1:3])
pixels = np.expand_dims(tf.keras.utils.img_to_array(image).astype("uint8"), 0)
prediction = model.predict(pixels, verbose=0)
print(int(np.argmax(prediction["probabilities"])))
