"""The key server: departments' readers get from it the keys of the cases they may read (S2)."""
