"""A classifier of words: an embedding with padding, an LSTM of two directions, and a linear layer."""

from jax_impl.replay.modules import LSTM, Embedding, Linear, initial


def tensors(seed, words=23, width=6, hidden=7, classes=4):
    network = {
        "embedding": Embedding(words, width, padding_idx=0),
        "lstm": LSTM(width, hidden, bidirectional=True),
        "linear": Linear(2 * hidden, classes),
    }
    return initial(network, seed)
