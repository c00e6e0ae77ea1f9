"""Which functions belong to which phase of a command."""

# Rows of the table, in the order in which a command reaches them
START = "until Python runs our code"
IMPORTING = "importing"
JAX = "starting JAX"
MNIST = "reading MNIST"
DRAWS = "initial weights and orders"
TRACING = "compiling: tracing"
LOWERING = "compiling: lowering"
XLA = "compiling: XLA, or reading its cache"
TRAINING = "training"
TESTING = "testing"
MEASURING = "measuring"
FILES = "checkpoints and files"
DRAWING = "drawing"
REST = "the rest"
END = "ending the process"
PHASES = (
    START, IMPORTING, JAX, MNIST, DRAWS, TRACING, LOWERING, XLA,
    TRAINING, TESTING, MEASURING, FILES, DRAWING, REST, END,
)  # fmt: skip

WAITED_FOR = (TRAINING, TESTING)  # they call compiled programs, whose results may come later

# "module:function" or "module:class.method". All of them must exist.
FUNCTIONS = {
    "jax:devices": JAX,
    "jax_impl.commands.data:ensure": MNIST,
    "jax_impl.data:load": MNIST,
    "jax_impl.data:digest": MNIST,
    "jax_impl.starts.replayed:replayed": DRAWS,
    "jax_impl.draws:native": DRAWS,
    "jax_impl.starts.from_images:start_from_images": DRAWS,
    "jax_impl.trainer.engine:next_orders": DRAWS,
    "jax.stages:Compiled.__call__": TRAINING,  # only training calls programs that are compiled before
    "jax_impl.model:accuracy": TESTING,
    "jax_impl.trainer.epochs:count_correct": TESTING,
    "jax_impl.rbm.training:_monitors": TESTING,
    "jax_impl.study.propagation:propagate": MEASURING,
    "jax_impl.rbm.outputs:likelihood": MEASURING,
    "jax_impl.trainer.estimate:measure": MEASURING,
    "jax_impl.storage.checkpoints:Checkpoints.save": FILES,
    "jax_impl.storage.files:write": FILES,
    "jax_impl.storage.records:add": FILES,
    "jax_impl.storage.runs:check_writable": FILES,
    "jax_impl.storage.runs:describe": FILES,
    "jax_impl.figures.curve:curve": DRAWING,
    "jax_impl.rbm.outputs:draw": DRAWING,
    "jax_impl.study.page:write": DRAWING,
}

# Durations that JAX reports to `jax.monitoring`, at their start and at their end
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": TRACING,
    "/jax/core/compile/jaxpr_to_mlir_module_duration": LOWERING,
    "/jax/core/compile/backend_compile_duration": XLA,
}
