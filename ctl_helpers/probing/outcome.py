"""What a probe found: remarks and tables, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctl_helpers.errors import linked
from ctl_helpers.probing.estimates import Estimate
from ctl_helpers.probing.remarks import Remark
from ctl_helpers.probing.verdict import Verdict, judged

if TYPE_CHECKING:
    import pandas as pd

Table = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a probe found.

    Attributes:
        sources: what the report calls each checkpoint, ``"BASE"`` first → where it is.
        tier: the deepest tier that was looked at.
        remarks: what the rules said.
        estimate: bytes and seconds, from headers.
        tables: name → rows, see :meth:`table`.
        facts: what was run on what, in words.
        seconds: tier → how long it took.
    """

    sources: Mapping[str, str]
    tier: int
    remarks: Sequence[Remark]
    estimate: Estimate
    tables: Mapping[str, Table] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Mergeable, doubtful or not, with reasons and advice."""
        return judged(self.remarks, self.tier)

    @property
    def exit_code(self) -> int:
        """0 mergeable, 1 doubtful, 2 not."""
        return self.verdict.exit_code

    @linked
    def table(self, name: str) -> pd.DataFrame:
        """One of :attr:`tables` (KeyError, naming those that there are)."""
        import pandas as pd  # the first tier needs none

        if name not in self.tables:
            raise KeyError(f"the probe has no table {name!r}; it has {sorted(self.tables)}")
        return pd.DataFrame(self.tables[name])
