"""The paragraphs and tables that pages and notebooks compute, a module per page.

Each is ``(*tables, panels) → Markdown``; numbers that stand elsewhere too are quoted findings.

- ``spawning``: Section 3.
- ``flatness``: pairs whose loss has no barrier.
- ``cross_task``: Section 4.1.
- ``split_resnets``: its ResNets beside MLPs, and two protocols.
- ``transitivity``: its conjecture.
- ``batchnorm``: Section 4.1, statistics of BatchNorm.
- ``averaging``: Section 4.2.
- ``editing``: Section 4.3, of images and of texts.
- ``stitching``: its stitched networks, and what lies along a task vector.
- ``language``: what Section 4.3 on language models predicts.
- ``factors``: Section 5.
- ``architecture``: parts of networks.
- ``objective``: what pretraining shapes.
- ``pointing``: what task vectors point at.
- ``merging``: what merging methods keep.
- ``mergeability``: which merges work.
- ``signatures``: what is said to break linearity.
- ``found``: what was found, in one sentence and in six.
- ``answers``: what one page found, in a few sentences.
- ``predictions``: which came true, for several pages.
- ``random_starts``: published networks beside the same from random weights.
- ``live``: the live network.
- ``paradigms``: linear layers only.
- ``interactions``: many task vectors at once.
- ``overtraining``: long fine-tuning.
- ``taylor``: Appendix A.
- ``boundary``: where linearity ends.
- ``scale``: what many checkpoints cost.
- ``since``: what later papers ask of the same data.
- ``theory``: the theorems, and Section 5's curvature.
"""
