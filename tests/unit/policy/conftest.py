from pathlib import Path

import pytest

# The lines are counted by the tests: put new ones at the end.
TEXT = (
    (Path(__file__).parents[1] / "policy.toml").read_text()
    + """
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

[authority]
name = "Example Authority"
address = "2 Example Avenue"
complaint = "You may complain here (Art. 77 GDPR)."
[departments.sales]
title = "Sales"
contact = "sales@shop.example"
[lists.news]
title = "Newsletter"
kind = "newsletter"
legal_basis = "Art. 6(1)(f) GDPR"
[services.sample]
title = "Samples"
life_cycle = "sample"
departments = ["sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["Delivering samples"]
recipients = ["the carrier"]
deadline_hours = 48
[services.sample.fields.email]
title = "E-mail address"
kind = "email"
mandatory = true
[services.sample.fields.size]
title = "Size"
kind = "choice"
options = ["small", "large"]
personal = false
[services.news]
title = "Newsletter"
life_cycle = "subscription"
departments = ["sales"]
legal_basis = "Art. 6(1)(f) GDPR"
purposes = ["Telling news"]
list = "news"
fields.email = { title = "E-mail address", kind = "email", mandatory = true }
[services.visit]
title = "Come and see"
life_cycle = "registration"
departments = ["sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["Holding events"]
group = "required"
fields.name = { title = "Name", kind = "text", guest_list = true, badge = true }
[services.poll]
title = "Survey"
life_cycle = "survey"
departments = ["sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["Market research"]
further_processing = "comparing years"
fields.answer = { title = "Answer", kind = "long_text" }

[holders.crm]
title = "Customer database"
services = ["sample"]
third_country = "US"
safeguard = "standard contractual clauses"
[activities.guard]
title = "Guarding our systems"
legal_basis = "Art. 6(1)(f) GDPR"
purposes = ["Finding abuse"]
persons = ["visitors"]
data = ["page and status"]
kept_until = "a day is over"
[purposes.profile]
title = "Showing what fits"
covers = "profile"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
[profiles]
purpose = "profile"
interests.tea = { title = "Tea", pages = ["/tea*"], terms = ["oolong"] }
contacts.brewer = { title = "Our brewer", contact = "tea@www.example", interests = ["tea"] }
content.pages = ["/tea/green"]
[rights]
department = "sales"
notice_hours = 24
compelling.sample = "people would be harmed"
[rights.controllers.other]
title = "Another shop"
url = "https://other.example/v1/portable"
third_country = "US"
safeguard = "an adequacy decision"
"""
)


@pytest.fixture
def text() -> str:
    """Return a valid policy with every key there is."""
    return TEXT
