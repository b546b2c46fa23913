"""Training, whose checkpoints are artifacts of the store.

- ``loop``: by epochs, with SGD.
- ``steps``: by steps, with AdamW, in each paradigm of fine-tuning.
- ``text_losses``: span corruption, continuation and answers.
- ``trainable``: which parameters a paradigm trains.
- ``checkpoints``: the wanted moments of a training run, from the store or trained now.
- ``step_cost``: time and memory of a training step.
"""
