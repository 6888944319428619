"""The ledger: what must be remembered and changed in one transaction, in SQLite or PostgreSQL."""
