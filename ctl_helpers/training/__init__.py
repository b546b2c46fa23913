"""Training, whose checkpoints are artifacts of the store.

- ``loop``: the loop that may stop and go on, and its epochs of SGD.
- ``class_mask``: a head over the classes of all tasks, of which one looks at its own.
- ``steps``: by steps, with AdamW, in each paradigm of fine-tuning.
- ``by_steps``: SGD counted by steps, also sharpness-aware, whose weights are kept on the way.
- ``low_rank``: LoRA, whose factors are merged in the end.
- ``pretrained_for``: the objectives of pretraining by name.
- ``objectives``: views that agree, and pixels that are restored.
- ``text_losses``: span corruption, continuation and answers.
- ``trainable``: the paradigms, and which parameters each of them trains.
- ``checkpoints``: the wanted moments of a training run, from the store or trained now.
- ``progress``: how far training is, told to other processes and on a terminal.
- ``step_cost``: time and memory of a training step.
"""
