"""Will these checkpoints merge, and if not, where does it break? Asked before a merge is written.

The files, read by their headers alone:

- ``sources``: what may be given as a checkpoint, and what the report calls it.
- ``places``: where a checkpoint's files are on a disk.
- ``hub_places``: the same on the hub, without fetching weights.
- ``safetensors_headers``: shapes and types in safetensors files, also in truncated ones.
- ``pickle_headers``: the same in ``.pt`` files, whose classes become inert records.
- ``entries``: a tensor's shape and type.
- ``checkpoints``: the weights themselves, tensor by tensor, under BASE's names.
- ``aligning``: names of one checkpoint under those of another.
- ``adapters``: LoRA adapters, and whether they fit their base.

What is looked at, tier by tier:

- ``rules``: a line on each rule.
- ``limits``: the numbers from which a rule remarks on something.
- ``remarks``: a fact, how grave it is, and what to do.
- ``overview``: tier 0, headers and configurations.
- ``scan``: one reading of all weights, and the sums over them.
- ``weights_tier``: tier 1, where checkpoints come from and how they disagree.
- ``passes_tier``: tier 2 as a whole.
- ``networks``: the architecture that runs the mixes.
- ``staged``: networks larger than the memory, stage by stage.
- ``samples``: what they are run on.
- ``rows``: texts and images of a file, a folder or the hub.
- ``tokenizing``: texts as tokens.
- ``linearity_tier``: features of mixes against mixes of features, and the control.
- ``curves``: how ε grows with λ.
- ``track_record``: how often the word on linearity came true.
- ``remedies``: leaving layers out and recomputing statistics, tried out.
- ``scores_tier``: perplexity and accuracy.
- ``configs``: which differences of configurations change the function.
- ``vocabularies``: is the same id the same string?
- ``quantized``: is a checkpoint quantized, and by which scheme?
- ``estimates``: bytes and seconds, before anything is read.

What comes out:

- ``probe``: the tiers one after another.
- ``outcome``: what was found.
- ``verdict``: one word, why, and what to do.
- ``report``: the outcome as an object to save.
- ``shown``: the tables that a person reads first.
- ``summary``: the outcome as text.
- ``page``: the outcome as one HTML page.
- ``figures``: what the page draws.
- ``charts``: charts of lines as inline SVG.
"""
