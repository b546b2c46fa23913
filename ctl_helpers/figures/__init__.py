"""Interactive figures of tidy result tables.

What all are drawn with:

- ``drawing``: lines in panels, under menus.
- ``choices``: what a reader can choose: other data, one group of lines, a view.
- ``views``: the views of linearity (ε, 1 − cosine, coef), what they are read against, and controls.
- ``frame``: title, menus, legend and text alternative, and the layout as data for pages.
- ``axes``: axes of numbers.
- ``rows``: named rows, and dots in them with intervals.
- ``static``, ``static_axes``, ``static_marks``: the same figures as still images.

Pictures by subject:

- ``paths``: loss along the line between two networks.
- ``linearity``: linearity and length by layer, and transitivity.
- ``contrast``: kinds of one thing told apart by layer, such as null controls.
- ``statistics``: BatchNorm's statistics, mixed or recomputed.
- ``spawning``: two copies of one network, trained apart.
- ``flatness``: barrier of the loss against ε, pair by pair.
- ``averaging``: averages of networks against ensembles.
- ``many``, ``disentangled``: mixes of more and more networks or task vectors.
- ``interactions``: what single task vectors, pairs and triples explain of a sum.
- ``overtraining``: long fine-tuning, plain and sharpness-aware.
- ``editing``, ``second_order``: networks edited by task vectors.
- ``stitched``: what edited and stitched networks can do.
- ``factors``: what linearity depends on.
- ``architecture``: what each part of a network does.
- ``objective``: what each objective of pretraining does.
- ``around_centre``: what these two share.
- ``pointing``: what task vectors point at, and what probes read.
- ``merging``: merging methods, a row each: accuracy that is kept, and ε.
- ``mergeability``: which merges work, and what predicts it.
- ``signatures``: what is said to break linearity.
- ``theory``: a bound against what was measured.
- ``boundary``: where linearity ends, over rates and steps, and what predicts it.
- ``explained``: what explains the deviation from linearity, beside the paper.
- ``taylor``: the first-order expansion against the network.
- ``paradigms``, ``heatmaps``: three ways to fine-tune.
- ``dots``, ``lengths``, ``three``: what several of these share.

What is called ``panels`` in them is setting → panel title, in order. Tables of results have columns
``setting`` and ``seed`` beside those that are named; seeds are averaged. Error bars are the lower
and upper quartile over samples.
"""
