"""Data: images and texts in memory, and the data sets that settings name.

- ``dataset``: what every data set offers; ``sets`` has a module for each.
- ``images``, ``texts``, ``tokens``, ``batches``: samples, and batches as networks take them.
- ``tasks``: parts and variants of one set of images as tasks.
- ``prompts``: class names and templates of zero-shot heads.
- ``image_files``, ``text_sets``, ``readers``: files in their original formats.
- ``sketches``: drawings of generated images.
"""
