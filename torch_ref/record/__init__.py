"""Record any PyTorch program, so that a port of it can be proven.

    from torch_ref import record

    record.save("theirs", model=net, loss=loss, optimizer=adamw, batches=loader, steps=10)

`loss(model, batch)` returns a scalar. The record is a folder of JSON and safetensors (docs/records.md). It holds the
model's settings and weights, the batches and dropout masks, everything that goes into and comes out of its modules, and
what gradients, optimizer and buffers do in the first steps. All of it is computed in float64, three times: the second
and third time with every number moved by half a unit in the last place, which measures the rounding error.

The model, the optimizer and torch's random numbers are as before afterwards. Needs torch (2.9 or later), NumPy and
safetensors only.

`recorder` holds `save`. `program/` touches the user's program: `capture` (hooks), `masks` (dropout, with `recurrent`),
`workspace` (the model in float64, and back), `widening` (conversions to float32), `optimizing`, and `running`,
`training` and `passes`, which run everything into an `arrays.Recording`, and again into a `noise.Noise`. `inputs`
checks what the user gives; `structures` (nested batches), `settings`, `fresh`, `files` and `progress` are what their
names say.
"""

from torch_ref.record.recorder import save

__all__ = ["save"]
