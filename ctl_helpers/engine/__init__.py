"""Run mixes of checkpoints and measure them; needs torch, numpy, pandas and tqdm alone.

Interpolation and hooks first, then what is built on them:

- ``mix``: interpolate, combine and subtract checkpoints; every model is a mix of named ones.
- ``checkpoints``: those of every kind as state dicts under one network's names, in one type.
- ``tensor_sums``: sums and differences of checkpoints, tensor by tensor.
- ``tensor_kinds``: which tensors are mixed, which are counted, and which have no mix.
- ``ties``: tensors that a network has under several names.
- ``precision``: the floating type of a run, and the noise of its rounding.
- ``hooks``: tap the features of named layers while a module runs.
- ``outputs``: the tensors in what a module gives.
- ``reading``: from outputs to features: which dimension is the samples, and which tokens count.
- ``pooling``: one feature of each sample from the states of its tokens.
- ``layers``: what can be tapped, and what is where nobody names layers.
- ``blocks``: the lists of blocks that a network repeats.
- ``defaults``: the layers of a comparison, tried on the first batch where none are named.
- ``compare``: how linear features are, over all pairs of checkpoints.
- ``linearity``: both sides of an equation on features, sample by sample.
- ``questions``: the comparisons that the papers ask for: averages, sums, negations.
- ``evaluate``: loss and accuracy of mixes.
- ``scoring``: from outputs and targets to sums of loss and hits.
- ``stitch``: front parts of some networks under the rest of another.
- ``disentangle``: does adding one task's vector leave another task's outputs alone?
- ``similarity``: cosines and lengths from inner products, summed up over samples.
- ``passes``: each distinct mix once over each task's batches, handed to folds.
- ``network``: a model as it is run, a copy in evaluation mode under given weights.
- ``trial``: few samples of the first batch, before other passes and after them.
- ``stage_trial``: the same, stage by stage.
- ``culprits``: which module is to blame where passes depend on more than weights and samples.
- ``watching``: what a pass reads and writes of tensors that are not its own.
- ``copies``: copies of models and inputs, so that the caller's stay as they are.
- ``randomness``: random numbers that are the same in each pass of a batch.
- ``folds``: what keeps a few numbers per sample of a pass and forgets the features.
- ``batches``: batches of any shape on a device, split where memory runs out.
- ``inputs``: a batch as the model takes it, and what in it is by sample.
- ``input_types``: inputs of another floating type than the weights.
- ``mixed_weights``: the weights of mixes, held where they fit.
- ``stages``: a forward pass as a chain of stages.
- ``streaming``: networks larger than the memory, stage by stage.
- ``linearized``: a network's first-order expansion as a network.
- ``lazy_state``: state dicts whose tensors are made or read when they are asked for.
- ``derivatives``: what torch needs to derive networks twice, or forward.
- ``arguments``: those that are nearly right, taken as meant or refused.
- ``devices``: where a model runs.
- ``progress``: a bar that shows how far a run is.
- ``tiles``: many comparisons a few at a time, so that memory stays.
- ``memory``: how much is free, and whether it ran out.
"""
