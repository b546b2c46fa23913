"""What every data set's module offers, and the sentences that they share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ctl_helpers.project import MissingDataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ctl_helpers.data.images import Captioned, Images
    from ctl_helpers.data.texts import Texts


class DataSet(Protocol):
    """A module of :mod:`ctl_helpers.data.sets`; it imports no torch before it loads."""

    def checksum(self) -> str:
        """Digest of the original data, known without loading it."""

    def missing(self, tasks: Sequence[str]) -> list[str]:
        """What tasks need and is not on this machine: for each thing a sentence with the remedy."""

    def fetch(self, tasks: Sequence[str]) -> None:
        """Download what tasks need and is not here yet, where it can be downloaded.

        Raises:
            MissingDataError: a download failed, or is not offered and has to be got by hand.
        """

    def load(self, task: str, split: str, samples: int | None = None) -> Images | Texts:
        """A task's samples in a fixed order.

        Args:
            task: its name.
            split: ``"train"`` or ``"test"``; where networks are edited also ``"held-out"``, a part
                that is kept from training.
            samples: the first so many, all when None.

        Raises:
            ValueError: no such task or split.
            MissingDataError: it is not on this machine.
        """


class PromptedSet(DataSet, Protocol):
    """Images whose classes have names, for zero-shot heads."""

    def class_names(self, task: str) -> tuple[str, ...]:
        """Classes in the order of their labels."""

    def templates(self, task: str) -> tuple[str, ...]:
        """Prompts, ``{}`` standing for a class."""


class CaptionedSet(PromptedSet, Protocol):
    """Images on which a CLIP can be pretrained."""

    def pretraining(self, seed: int) -> Captioned:
        """What pretraining sees; ``seed`` decides the words around a name."""

    def words(self) -> tuple[str, ...]:
        """Sentences that hold every word of any caption."""


class DocumentSet(DataSet, Protocol):
    """Texts on which a network can be pretrained; ``"pretrain"`` is a split too."""

    def pretraining(self) -> tuple[str, ...]:
        """Documents."""

    def vocabulary(self) -> int:
        """How many tokens there are; no text is read for that."""

    def tokenizer(self) -> Tokenizer:
        """Makes tokens of every text."""


def check_names(
    what: str, task: str, tasks: Collection[str], split: str, splits: Iterable[str]
) -> None:
    """Refuse a task or split that a data set does not have.

    Raises:
        ValueError: no such task or split.
    """
    splits = tuple(splits)
    if task not in tasks or split not in splits:
        raise ValueError(
            f"there are no {what} {task!r}, {split!r}; tasks are {tuple(tasks)}, splits {splits}"
        )


def complaints(*checks: Callable[[], object]) -> list[str]:
    """What checks say that raise :class:`MissingDataError`, each sentence once."""
    said: dict[str, None] = {}
    for check in checks:
        try:
            check()
        except MissingDataError as error:
            said[str(error)] = None
    return list(said)


def refuse(sentences: Sequence[str]) -> None:
    """Raise the first of some complaints as a :class:`MissingDataError`, if there are any."""
    if sentences:
        raise MissingDataError(sentences[0])


@contextmanager
def downloading(title: str, folder: Path, holds: str) -> Iterator[None]:
    """Turns a failed download into one sentence.

    Args:
        title: what a person calls the data set.
        folder: where it is downloaded to.
        holds: what a data folder has to hold where it is got in another way.

    Raises:
        MissingDataError: no server could be reached, or the folder cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise MissingDataError(
            f"{title} could not be downloaded into {folder} ({reason}): connect to the network, or "
            f"set CTL_DATA_DIR to a folder that holds {holds}"
        ) from None


def data_set(name: str) -> DataSet:
    """The module of that name in :mod:`ctl_helpers.data.sets`, or its ``SET`` where it has one.

    Looked up by name, so that what is stored depends on its own data set's source alone.
    """
    module = import_module(f"ctl_helpers.data.sets.{name}")
    return getattr(module, "SET", module)
