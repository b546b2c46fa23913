"""The probe's limits, each a name and a number, in one place.

They say when a number becomes a remark. None rests on the results of this book alone: each is
where a quantity changes its meaning, or stands far between what fine-tunes and strangers have.
"""

from __future__ import annotations

STRANGER = 0.5
"""Correlation of a matrix's entries with BASE's under which it is another pretraining's.

Fine-tuning leaves 0.95 to 1. Matrices that were trained apart have 0 up to chance.
"""

FAR = 0.9
"""Correlation under which a network moved about half its own length away: doubt."""

LONG = 0.5
"""Length of a task vector, as a share of BASE's, from which a merge is in doubt."""

UNEQUAL = 4.0
"""Ratio of the lengths of two task vectors from which the longer one outweighs the other."""

OPPOSED = -0.2
"""Cosine of two task vectors under which they undo one another."""

ALIKE = 0.95
"""Cosine from which two task vectors are one direction."""

CONFLICT = 0.55
"""Share of magnitude with signs that disagree; vectors of no common direction have one half."""

HALF_LARGEST = 65504.0
"""The largest number of float16."""

HEADROOM = 0.5
"""Share of that number from which a weight of the mix, or its cast, is in danger."""

LINEAR = 0.5
"""Linearity error ε up to which a layer counts as linear.

ε is 0 where the mixed network's features are the mix of the parts' features, and 1 where they are
no nearer to it than one of the parts is.
"""

BROKEN = 1.0
"""Linearity error ε from which the mixed network's features have nothing of the mix."""

PERPLEXITY = 1.5
"""Factor on the best part's perplexity, or BASE's, from which the mix's is in doubt."""

ACCURACY = 0.8
"""Share of the parts' mean accuracy under which the mix's is in doubt."""

RENEWED = 0.8
"""Share of ε that recomputed BatchNorm statistics must fall to for the advice to recompute."""

NO_BETTER = 0.95
"""Share of random vectors' worst ε from which task vectors are no better than they."""
