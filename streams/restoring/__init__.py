"""Backups of the ledger, and restoring it without bringing anybody back."""
