"""What is computed from weights, derivatives or finished tables.

- ``vector_angles``: cosines between task vectors.
- ``taylor``: how far networks are from their first-order expansion.
- ``curvature``: the largest eigenvalue of the loss's Hessian, and its quadratic form.
- ``deviation``: how far a loss is from linear between networks, beside Theorem 5.1's bound.
- ``loss_chord``: what features have to do with loss (Theorem 3.3).
- ``batchnorm``: running statistics, recomputed on data.
- ``editing``: what networks with added and subtracted task vectors can do; the choice of λ.
- ``paradigms``: ways to fine-tune side by side: their learning rates, and what they can do.
- ``stitching``: what the features of such networks know.
- ``task_arithmetic``: scores of edited networks by role, and the λ they allow.
- ``controls``: comparisons of random vectors, of networks pretrained apart, of other samples.
- ``displacement``: how far features move with weights, and which weights they hang on.
- ``local_linearity``: how linear each layer is by itself.
- ``submodules``: the same of attention, MLP and norms inside transformer blocks.
- ``interactions``: what task vectors do alone, in pairs and in triples.
- ``pointing``: nearest samples, class directions and probes of task vectors' changes.
- ``merging``: merging methods: what each makes of task vectors.
- ``merge_names``: what is compared where networks are merged, by name.
- ``merge_strength``: how strong a merge is, chosen with labels or without.
- ``mergeability``: merges, how accurate they are and what is known of each without a label.
- ``boundary``: ε, features, weights and accuracies of pairs, over rates and steps.
- ``levels``: what is read off a run of fine-tuning where it has gone so far.
- ``sampled_pairs``: how sure a mean over some of all pairs is.
- ``regression``: least squares with intervals.
- ``left_out``: least squares on groups that they have not seen.
"""
