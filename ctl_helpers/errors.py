"""What the package raises ends with its place on the book's page *Errors*, by kind of mistake."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dis import opmap
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

Given = ParamSpec("Given")
Result = TypeVar("Result")

PAGE = "book/errors.html"

RAISED_IN = {
    "arguments": "engine.arguments engine.checkpoints:_check_ignored engine.compare "
    "engine.evaluate engine.passes engine.questions engine.stitch analysis.batchnorm "
    "analysis.curvature:_outermost analysis.pointing analysis.taylor analysis.vector_angles "
    "weights.read probing.sources",
    "names": "engine.checkpoints:KeyError engine.scoring:KeyError engine.batches:KeyError "
    "analysis.vector_angles:KeyError probing.outcome",
    "checkpoints": "engine.checkpoints:_check_held engine.mix models.efficientnet "
    "weights.fitting weights.hub:check_base weights.names",
    "tensors": "engine.checkpoints engine.tensor_kinds engine.tensor_sums",
    "tied": "engine.ties models.text:from_transformers weights.fitting:_add_ties",
    "adapters": "engine.tensor_sums:_check_factors weights.adapters weights.read:_base "
    "weights.read:_check_factors",
    "files": "weights.checksums weights.files weights.gguf_file weights.lazy weights.pickles "
    "weights.proportions weights.records weights.resnet weights.wrappers probing.pickle_headers "
    "probing.safetensors_headers probing.vocabularies",
    "hub": "weights.hub weights.read:_found",
    "meta": "engine.copies weights.fitting:make",
    "layers": "engine.defaults engine.hooks engine.layers engine.pooling:KeyError engine.reading "
    "models.bert:KeyError models.clip:KeyError models.efficientnet:KeyError",
    "samples": "engine.hooks:_flat engine.reading:_axis_by_shape engine.reading:_sample_axis "
    "engine.trial:counted",
    "outputs": "engine.disentangle engine.outputs engine.stitch:_feature",
    "pooling": "engine.pooling",
    "batches": "engine.batches engine.inputs engine.linearity:_feature analysis.curvature:_hessian",
    "input-types": "engine.input_types",
    "targets": "engine.scoring analysis.curvature:_checked",
    "passes": "engine.network engine.stage_trial engine.trial",
    "memory": "engine.batches:_try engine.inputs:halves engine.passes:MemoryError "
    "engine.streaming:MemoryError engine.streaming:_check_split engine.trial:check_split",
    "device": "engine.devices",
    "stages": "engine.passes:_to_stream engine.stitch:TypeError engine.streaming",
    "configurations": "models.llama",
    "texts": "models.bert models.clip models.llama:begin models.t5 models.text",
    "mixes": "engine.linearity:__post_init__ engine.mix:mix_key engine.questions:_average "
    "engine.questions:edit engine.tensor_sums:_extrapolated",
    "not-finite": "engine.linearity:_check_finite engine.mix:check_finite "
    "analysis.curvature:largest_eigenvalue analysis.interactions analysis.taylor:_metrics",
    "linearized": "engine.linearized",
    "tables": "engine.compare:triples engine.evaluate:barriers engine.linearity:histogram "
    "analysis.left_out analysis.levels analysis.loss_chord analysis.regression "
    "analysis.sampled_pairs",
    "probe": "probing",
    "data": "data models.efficientnet:imagenet_rows models.linear_head settings.needs "
    "settings.published_text weights.published",
    "training": "training",
    "book": "settings runs results findings figures site project",
}
"""Kind of mistake, an anchor of the page → what raises it: a wing, a module, or of a module a
function or a class of exceptions. The narrowest decides."""


class Linking(AbstractContextManager[None]):
    """While open, a sentence of the package that leaves it ends with its place on the page."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, Exception):
            link(error)


def linked(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same function, whose sentences end with their place on the page."""

    @functools.wraps(function)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        with Linking():
            result = function(*args, **kwargs)
        if isinstance(result, AbstractContextManager):  # ctl.taps, within which errors come later
            return cast(Result, _opening(result))
        return result

    return wrapped


@contextmanager
def _opening(block: AbstractContextManager[Any]) -> Iterator[Any]:
    with Linking(), block as value:
        yield value


def link(error: Exception) -> None:
    """Add its place on the page to a sentence of the package; other errors stay as they are."""
    kind = _kind(error)
    if kind is None or len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    if PAGE not in error.args[0]:
        error.args = (f"{error.args[0]} ({_site()}{PAGE}#{kind})",)


def kind_of(module: str, function: str, error: str) -> str | None:
    """The kind of a mistake, if it is known.

    Args:
        module: what raises it, under the package, such as ``"engine.mix"``.
        function: the innermost function.
        error: the name of the exception's class.
    """
    wing = module.partition(".")[0]
    places = (f"{module}:{function}", f"{module}:{error}", module, wing)
    return next((_kinds()[place] for place in places if place in _kinds()), None)


@functools.cache
def _kinds() -> dict[str, str]:
    return {place: kind for kind, places in RAISED_IN.items() for place in places.split()}


def _kind(error: BaseException) -> str | None:
    """The kind of an error that the package raised, or of the one that it was made from."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not _raises(last):
        return None
    package, _, module = last.tb_frame.f_globals.get("__name__", "").partition(".")
    if package != __package__:
        return None
    cause = None if error.__cause__ is None else _kind(error.__cause__)
    return cause or kind_of(module, last.tb_frame.f_code.co_name, type(error).__name__)


def _raises(place: TracebackType) -> bool:
    """Whether ``raise`` stands there, and not a call into torch that failed."""
    return place.tb_frame.f_code.co_code[place.tb_lasti] == opmap["RAISE_VARARGS"]


@functools.cache
def _site() -> str:
    """The address of the published book with a slash, empty while the project names none."""
    from importlib import metadata  # takes long, and nothing else needs it

    try:
        urls = metadata.metadata(__package__).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        urls = []
    addresses = [url.partition(", ")[2] for url in urls if url.startswith("Documentation, ")]
    return f"{addresses[0].rstrip('/')}/" if addresses else ""
