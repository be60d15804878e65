"""What an index says of the model that its features come from."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass

from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.onnx_file import fields

#: Field numbers of onnx.proto's ModelProto: the graph, the operators it is made of, its functions.
_NETWORK = (7, 8, 25)


@dataclass(frozen=True, slots=True)
class Maker:
    """A model: its id, and the SHA-256 of all in its file that decides on features and classes.

    That is the network, the preprocessing and the ids of the classes. What else is in the metadata
    may change: names, rules, figures, the model's id.
    """

    id: str
    network: str


def maker_of(info: ModelInfo) -> Maker:
    """The model of ``info``, whose file is read; raises ``UsageError``."""
    try:
        return Maker(info.id, _network_of(info))
    except OSError as error:  # it was there when it was loaded
        raise UsageError(f"can't read the model {info.path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:  # and whole
        raise UsageError(f"{info.path} has changed since it was loaded") from error


def _network_of(info: ModelInfo) -> str:
    ids = [label.class_id for label in info.labels]
    digest = hashlib.sha256(json.dumps([asdict(info.preprocess), ids], allow_nan=False).encode())
    with open(info.path, "rb") as file:
        for number, is_bytes, length in fields(file, os.fstat(file.fileno()).st_size):
            if is_bytes and number in _NETWORK:
                digest.update(f"\n{number} {length}\n".encode())
                digest.update(file.read(length))
    return digest.hexdigest()
