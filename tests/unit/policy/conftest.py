import pytest

# The lines are counted by the tests: put new ones at the end.
TEXT = """\
version = "1"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[purposes.reading]
title = "Seeing which pages are read"
covers = "analytics"
mode = "opt_out"
legal_basis = "Art. 6(1)(f) GDPR"
[purposes.ads]
title = "Measuring advertisements"
covers = "ads"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"

[audiences.buyers]
sites = ["shop.example"]
pages = [
  "/thanks*",
  "/orders/*",
]
events = ["buy"]

# Providers.
[providers.meta]
purpose = "ads"
sites = ["shop.example"]
pages = true
user_agent = true
audiences.buyers = "120000000000001"
[providers.x]
purpose = "ads"
sites = ["shop.example", "www.example"]
[[providers.x.conversions]]
page = "/thanks"
id = "ex4mp1"
[[providers.x.conversions]]
page = "/thanks*"
id = "ex4mp2"
"""


@pytest.fixture
def text() -> str:
    """Return a valid policy with every key there is."""
    return TEXT
