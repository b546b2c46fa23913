"""The data sets that a setting's ``data.set`` may name, a module each."""
