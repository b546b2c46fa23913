"""The data sets that a setting's ``data.set`` may name, and files that they share.

Generated, or brought by a dependency:

- ``digits``: scikit-learn's handwritten digits.
- ``scenes``: shapes on patterned grounds.
- ``kinds``: six kinds of image with captions.
- ``sentences``: five text-to-text tasks.

Real:

- ``mnist``: MNIST.
- ``cifar10``: the exact part of CIFAR-10 that is at hand.
- ``cifar100``: CIFAR-100.
- ``tinyimagenet``: Tiny ImageNet at 32×32 pixels.
- ``imagenet``: ImageNet-1k.
- ``real_kinds``: six kinds of real image.
- ``image_kinds``: five of them, and parts of Tiny ImageNet.
- ``real_texts``: six real text-to-text tasks.
- ``text_kinds``: eight kinds of labelled text, and pairs of sentences.
- ``prompted_kinds``: six of these kinds as prompts with answers, and running text.
- ``clip8``: the eight image sets of CLIP's task vectors.
- ``clip8_files``: their files.
- ``nlp6``: the six text sets of the paper's T5-base.
- ``instructions``: instructions for fine-tunes of Llama 2.
"""
