"""Training, whose checkpoints are artifacts of the store.

- ``loop``: the loop that may stop and go on, and its epochs of SGD.
- ``steps``: by steps, with AdamW, in each paradigm of fine-tuning.
- ``text_losses``: span corruption, continuation and answers.
- ``trainable``: the paradigms, and which parameters each of them trains.
- ``checkpoints``: the wanted moments of a training run, from the store or trained now.
- ``progress``: how far training is, told to other processes and on a terminal.
- ``step_cost``: time and memory of a training step.
"""
