"""Adapters: Kafka, ClickHouse, the key store of the salts, city tables, user agents."""
