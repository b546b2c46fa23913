"""Checkpoints of others.

- ``read``: whatever people have as a checkpoint, as a lazy state dict.
- ``wrappers``: the state dict inside what a training loop saves.
- ``prefixes``: what DDP, torch.compile, Lightning and peft put before names.
- ``fitting``: a checkpoint under the names of a network.
- ``pretrained``: names that transformers changed, as it resolves them itself.
- ``adapters``: LoRA adapters on their base.
- ``files``: state dicts from safetensors, sharded or not, and from ``.pt`` files.
- ``gguf_file``: a Llama and its tokenizer from a GGUF file, dequantized.
- ``lazy``: those of ``files``, tensor by tensor as they are asked for.
- ``proportions``: would a file take far more than its bytes once it is read?
- ``records``: do the records of torch's archives hold what tensors take?
- ``pickles``: whole modules of task_vectors, without running what is in them.
- ``hub``: published repositories at pinned commits.
- ``published``: networks whose files come from there, from a package or the data folder.
- ``names``: CLIP checkpoints under open_clip's names.
- ``resnet``: the published ResNets for CIFAR-10.
- ``checksums``: is a file there, and is it the published one?
"""
