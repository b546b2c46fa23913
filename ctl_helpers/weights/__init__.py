"""Checkpoints of others.

- ``files``: state dicts from safetensors, sharded or not, and from ``.pt`` files.
- ``lazy``: the same, tensor by tensor as they are asked for.
- ``pickles``: whole modules of task_vectors, without running what is in them.
- ``hub``: published repositories at pinned commits.
- ``names``: CLIP checkpoints under open_clip's names.
- ``resnet``: the published ResNets for CIFAR-10.
- ``checksums``: is a file there, and is it the published one?
"""
