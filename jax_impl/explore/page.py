"""The page: the numbers of all networks, the chart library and the script in one HTML file."""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jax_impl.errors import UserError
from jax_impl.explore import fields, grid, settings, start, training, verdicts
from jax_impl.explore.grid import Measured
from jax_impl.explore.pack import pack
from jax_impl.explore.published import results
from jax_impl.explore.settings import Network
from jax_impl.figures.colors import DARK, INITIALISERS
from jax_impl.figures.pages import other_reports, templates
from jax_impl.storage import files
from jax_impl.study import verdicts as of_study
from jax_impl.study.propagation import shown_layers

WEB = Path(__file__).parent / "web"
LANGUAGES = ("en", "ko")
DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = DOCS / "study" / "numbers.json"  # of the published results; only a checkout has it
# What the page links to where it exists, by the key of the link's text.
LINKED = {"guide": "weight-initialization.md", "notebook": "weight-initialization.ipynb", "study": "study/study.md"}
PICTURES = {name: DOCS / "study" / f"rbm-{name}.png" for name in ("filters", "samples")}
LIBRARY = "vl_convert"
# The constants of `verdicts` that the page names
LIMITS = ("LOST", "EXPLODED", "MOST", "ALIKE", "SMALL_STEP", "LARGE_STEP", "RISING")


def check_installed() -> None:
    """Raise an error that names the remedy if the package that has the chart library is missing.

    Raises:
        UserError: It is.
    """
    if find_spec(LIBRARY) is None:
        raise UserError("the page's chart library is missing: run make explore, or pip install '.[jax,explore]'")


def write(out: Path, networks: Iterable[Network], target: Path | None = None) -> Path:
    """Write the page of these networks, whose measurements are in `out`, and return its path.

    Args:
        out: The folder of the measurements.
        networks: Every combination of their depths, widths and activations.
        target: The page; by default `index.html` in `out`.

    Raises:
        UserError: The chart library is missing, a measurement cannot be read, or the page cannot be written.
    """
    target = target or out / "index.html"
    found = payload({network: grid.load(grid.path_of(out, network), network) for network in networks})
    published = results(json.loads(NUMBERS.read_text(encoding="utf-8"))) if NUMBERS.exists() else []
    files.write(target, render(found, published, links_from(target.parent)).encode())
    return target


def payload(measured: Mapping[Network, Measured]) -> dict[str, Any]:
    """Return what the page's script reads, as plain data.

    `fields` describes the codes in `codes`, see `pack`; `axes` has the values of each setting. The other entries name
    what the codes and positions mean.
    """
    described, codes = pack(fields.build(measured))
    by_axis = fields.axes(measured)
    return {
        "axes": by_axis | {"without_gain": [init for init in settings.INITS if init in settings.WITHOUT_GAIN]},
        "fields": described,
        "codes": codes,
        "trained": list(fields.OF_TRAINING),
        "command": command(by_axis),
        "kinds": list(verdicts.KINDS),
        "reasons": list(verdicts.REASONS),
        "shown_layers": {
            str(depth): [index + 1 for index in shown_layers(depth, start.SHOWN)] for depth in by_axis["depth"]
        },
        "steps": settings.STEPS,
        "batch": settings.BATCH,
        "images": settings.IMAGES,
        "seeds": list(settings.SEEDS),
        "tested": training.TESTED,
        "probed": training.PROBED,
        "limits": {"trained": of_study.TRAINED, "guessing": of_study.GUESSING}
        | {name.lower(): getattr(verdicts, name) for name in LIMITS},
        "made": sorted({one.facts["made"] for one in measured.values()}),
        "where": sorted({one.facts["where"] for one in measured.values()}),
        "seconds": sum(one.facts["seconds"] for one in measured.values()),
    }


def command(by_axis: Mapping[str, list[Any]]) -> str:
    """Return the command that measures the networks of these axes."""
    every = {"depth": settings.DEPTHS, "width": settings.WIDTHS, "activation": settings.ACTIVATIONS}
    options = {
        f"{name}s": ",".join(map(str, by_axis[name]))
        for name, values in every.items()
        if len(by_axis[name]) < len(values)
    }
    return " ".join(["python -m jax_impl explore", *(f"--{name} {values}" for name, values in options.items())])


def render(found: Mapping[str, Any], published: list[dict[str, Any]], links: list[tuple[str, str]]) -> str:
    """Return the page.

    Args:
        found: What `payload` returns.
        published: What `published.results` returns. If it is empty, the page has no such section.
        links: Keys of link texts, and addresses.

    Raises:
        UserError: The chart library is missing.
    """
    looks = {name: look.color for name, look in INITIALISERS.items()}
    values = {
        "payload": dict(found) | {"published": published},
        "published": published,
        "links": links,
        "pictures": {name: _data_url(path) for name, path in PICTURES.items() if published and path.exists()},
        "specifications": {name: json.loads(_text(f"{name}.vega.json")) for name in ("lines", "bars")},
        "scripts": [path.read_text(encoding="utf-8") for path in sorted((WEB / "js").glob("*.js"))],
        "light": looks,
        "dark": {name: DARK.get(color, color) for name, color in looks.items()},
        "licence": _text("licences.txt"),
        "vega": chart_library(),
    }
    texts = {language: texts_in(language) for language in LANGUAGES}
    return templates(WEB).get_template("explore.html.j2").render(values | texts)


def texts_in(language: str) -> dict[str, Any]:
    """Return the page's texts in a language, by their keys."""
    texts: dict[str, Any] = json.loads(_text(f"texts/{language}.json"))
    return texts | {"published": json.loads(_text(f"texts/{language}.published.json"))}


def _data_url(picture: Path) -> str:
    """Return a PNG file as an address that contains it."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def links_from(folder: Path) -> list[tuple[str, str]]:
    """Return the pages of the documentation and the other reports that exist, as addresses relative to a folder."""
    pages = {key: DOCS / name for key, name in LINKED.items()}
    reports = [(f"reports.{address.split('/')[1]}", address) for address in other_reports(folder, "explore")]
    return reports + [
        (key, Path(os.path.relpath(page, folder.resolve())).as_posix()) for key, page in pages.items() if page.exists()
    ]


@lru_cache(maxsize=1)
def chart_library() -> str:
    """Return Vega as a script that sets `vega`. It contains neither Vega-Lite's compiler nor Vega-Embed.

    Raises:
        UserError: The package that has it is missing.
    """
    check_installed()
    import vl_convert

    # The name `vega` of the package's own bundle is null. This import finds the copy of Vega that the package contains.
    source = f"https://cdn.jsdelivr.net/npm/vega@{vl_convert.get_vega_version()}/+esm"
    used = f'import {{ View, parse, Error as ERRORS }} from "{source}"; globalThis.vega = {{ View, parse, ERRORS }};'
    return vl_convert.javascript_bundle(used)


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")
