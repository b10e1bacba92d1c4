"""The stack of `make run`: real servers from wheels, the product's programs, one supervisor over them.

Read in this order: `settings`, `data_dir`, `postgres` and `nats` (the two adapters), `supervisor` (which
knows nothing of this product), `stack` (which knows the order), `status`.
"""
