"""ClickHouse: schema, roles, loads, and the statistics made of them."""
