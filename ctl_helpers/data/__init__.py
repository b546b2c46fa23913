"""Data: images and texts in memory, and the data sets that settings name.

- ``dataset``: what every data set offers.
- ``sets``: the data sets, a module each.
- ``images``: labelled images, chosen, turned and replaced.
- ``texts``: prompts with their answers.
- ``labelled_texts``: texts with labels, and their tokens in batches.
- ``tokens``: texts as tokens.
- ``batches``: samples as networks take them.
- ``tasks``: parts and variants of one set of images as tasks.
- ``task_pairs``: two tasks at a distance, turned or with other labels.
- ``prompts``: class names and templates of zero-shot heads.
- ``image_files``: image sets in their original formats.
- ``text_sets``: text sets in their original formats.
- ``text_files``: files of sets of labelled texts, and where they are published.
- ``readers``: lines, JSON and tables, whole and as expected, or an error.
- ``sketches``: drawings of generated images.
"""
