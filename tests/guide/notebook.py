"""docs/weight-initialization.ipynb, made of docs/notebook/weight_initialization.py: converted, executed, written."""

from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from jax_impl.storage import files

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "notebook" / "weight_initialization.py"
PATH = ROOT / "docs" / "weight-initialization.ipynb"
LIMIT = 600  # seconds that a cell may take
# What says which program reads the notebook, without the versions of the machine that executed it.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def converted(script: Path = SCRIPT) -> Any:
    """Return the notebook without outputs. The same script gives the same notebook, ids of cells included."""
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id, cell.metadata = f"cell-{number}", {}
    return notebook


def executed(notebook: Any) -> Any:
    """Execute a notebook from top to bottom in a process of its own, in the folder where it lies.

    Raises:
        CellExecutionError: A cell failed. The message has its code and its traceback.
    """
    client = NotebookClient(
        notebook,
        timeout=LIMIT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # without its remarks about the connection
        resources={"metadata": {"path": str(PATH.parent)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel added its version
    return notebook


def build(path: Path = PATH) -> None:
    """Convert and execute the script, and write the notebook. It appears complete or not at all.

    Raises:
        CellExecutionError: A cell failed. Nothing was written.
    """
    content = nbformat.writes(executed(converted())) + "\n"
    files.write(path, content.encode())


def read(path: Path = PATH) -> Any:
    """Return a notebook, checked against the format's schema."""
    return nbformat.read(path, as_version=4)


def printed(notebook: Any) -> str:
    """Return all text that the cells printed."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")
