"""Trains the notebook's network with Keras 3 on JAX, as a user of Keras writes it.

`python -m tests.bench.commands.keras_script FOLDER EPOCHS`, where FOLDER has MNIST's four files.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"  # keras reads it when it is imported

import keras
import numpy as np


def read(path: Path, header: int) -> np.ndarray:
    """Return the bytes of an IDX file after its header."""
    return np.fromfile(path, np.uint8)[header:]


def images(path: Path) -> np.ndarray:
    """Return the images of a file, (n, 784) in [0, 1]."""
    return read(path, 16).reshape(-1, 784).astype("float32") / 255


def main() -> None:
    """Train, evaluate and print both."""
    folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
    keras.utils.set_random_seed(777)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    labels = read(folder / "train-labels-idx1-ubyte", 8)
    model.fit(images(folder / "train-images-idx3-ubyte"), labels, batch_size=100, epochs=epochs, verbose=2)
    test_labels = read(folder / "t10k-labels-idx1-ubyte", 8)
    loss, accuracy = model.evaluate(images(folder / "t10k-images-idx3-ubyte"), test_labels, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
