"""Run mixes of checkpoints and measure them; needs torch, numpy and pandas alone.

Interpolation and hooks first, then what is built on them:

- ``mix``: interpolate, combine and subtract checkpoints; every model is a mix of named ones.
- ``hooks``: tap the features of named layers while a module runs.
- ``compare``: how linear features are, over all pairs of checkpoints.
- ``linearity``: both sides of an equation on features, sample by sample.
- ``questions``: the comparisons that the papers ask for: averages, sums, negations.
- ``evaluate``: loss and accuracy of mixes.
- ``stitch``: front parts of some networks under the rest of another.
- ``disentangle``: does adding one task's vector leave another task's outputs alone?
- ``similarity``: cosines and lengths from inner products, summed up over samples.
- ``passes``: each distinct mix once over each task's batches, handed to folds.
- ``folds``: what keeps a few numbers per sample of a pass and forgets the features.
- ``batches``: batches of any shape on a device, split where memory runs out.
- ``mixed_weights``: the weights of mixes, held where they fit.
- ``stages``: a forward pass as a chain of stages.
- ``streaming``: networks larger than the memory, stage by stage.
- ``linearized``: a network's first-order expansion as a network.
- ``lazy_state``: state dicts whose tensors are made or read when they are asked for.
- ``derivatives``: what torch needs to derive attention layers twice.
- ``memory``: how much is free, and whether it ran out.
"""
