"""The benchmark: what the machine allows, and what Floodgate does with it, measured in one run."""
