"""Other people's models: each as a torch program, `theirs`, and its port to JAX, `ours`.

Every `theirs.py` imports torch and no JAX, and every `ours.py` imports JAX and no torch, as on two machines. Both are
complete programs: model, loss, data, and one function that returns the arguments of the recorder.
"""
