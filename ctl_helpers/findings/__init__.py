"""Each number of the book once, with what it is drawn from.

- ``gates``: whether a claim can be tested at all.
- ``linearity``: ε and lengths beside the controls of every section.
- ``spawning``: Section 3.
- ``cross_task``, ``transitivity``: Section 4.1.
- ``batchnorm``: its part on BatchNorm's statistics.
- ``averaging``: Section 4.2.
- ``editing``: Section 4.3, features.
- ``stitching``: Section 4.3, accuracies of edited and stitched networks.
- ``factors``: Section 5.
- ``curvature``: Theorem 5.1.
- ``architecture``: parts of networks.
- ``taylor``: Appendix A.
- ``paradigms``: linear layers only.
- ``published``: numbers of the papers.
- ``live``: means beside the live network.
- ``replicates``: a number with whose rows it is computed from.
- ``intervals``: t intervals over seeds, the jackknife over one seed's networks.
- ``finding``: a number on one setting, with its words.
- ``claims``: what is claimed: numbers, controls, ideals and gates.
- ``stored_numbers``: the numbers that claims ask of one setting.
- ``judging``: from a number, its control and its ideal to a word.
- ``verdict``: one of them, with every number behind it.
- ``verdicts``: what stored results say of each claim.
- ``how_linear``: what linearity amounts to, in words that a verdict would not contradict.
- ``changes``: how a number goes along a curve, in such words.
- ``words``: numbers in sentences and tables.
- ``sentences``: the paragraphs that pages and notebooks compute.
"""
