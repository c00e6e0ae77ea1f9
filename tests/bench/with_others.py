"""The contenders that train in libraries with a loop of their own."""

import os
from collections.abc import Iterator

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, pixels, timed


def keras_epochs(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train with `model.fit` of Keras 3, on the JAX backend."""
    os.environ["KERAS_BACKEND"] = "jax"  # read at the import
    import keras

    keras.utils.set_random_seed(recipe.seed)
    hidden = [keras.layers.Dense(width, activation="relu") for width in recipe.layers[1:-1]]  # Xavier uniform
    network = keras.Sequential([keras.Input((recipe.layers[0],)), *hidden, keras.layers.Dense(recipe.layers[-1])])
    network.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    inputs = pixels(mnist)

    def epoch() -> float:
        history = network.fit(inputs, mnist.train_labels, batch_size=recipe.batch_size, epochs=1, verbose=0)
        return float(history.history["loss"][0])

    return timed(epoch)


def sklearn_epochs(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train scikit-learn's network, in float32 as the others; a call of `partial_fit` is an epoch, shuffled."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        recipe.layers[1:-1],
        activation="relu",
        solver="adam",
        alpha=0.0,  # no weight decay, which the others do not have
        batch_size=recipe.batch_size,
        learning_rate_init=recipe.learning_rate,
        random_state=recipe.seed,
    )
    inputs = pixels(mnist)

    def epoch() -> float:
        network.partial_fit(inputs, mnist.train_labels, classes=range(recipe.layers[-1]))
        return float(network.loss_)

    return timed(epoch)
