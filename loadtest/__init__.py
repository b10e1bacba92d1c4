"""The load scripts: seeded events, a good sender, and the ledger of accepted against stored."""
