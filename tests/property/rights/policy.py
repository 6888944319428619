"""An invented controller with a service, list and purpose of each kind by which rights differ."""

import tomllib

from privacy.policy import Policy

SITE = "shop.example"
_SERVICE = """
[services.{0}]
title = "{0}"
life_cycle = "{1}"
departments = ["care"]
legal_basis = "Art. {2} GDPR"
purposes = ["to render the service"]
{3}
[services.{0}.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
[services.{0}.fields.name]
title = "Name"
kind = "text"
mandatory = false
"""
_POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.care]
title = "Care"
contact = "care@www.example"
[rights]
department = "care"
most_per_month = 3
[holders.crm]
title = "CRM"
services = ["samples"]
[lists.news]
title = "News"
kind = "newsletter"
legal_basis = "Art. 6(1)(f) GDPR"
[lists.tips]
title = "Tips"
kind = "notification"
legal_basis = "Art. 6(1)(a) GDPR"
[purposes.statistics]
title = "Statistics"
mode = "opt_out"
covers = "analytics"
legal_basis = "Art. 6(1)(f) GDPR"
[purposes.ads]
title = "Ads"
mode = "opt_in"
covers = "ads"
legal_basis = "Art. 6(1)(a) GDPR"
""" + "".join(
    _SERVICE.format(*each)
    for each in (
        ("samples", "sample", "6(1)(b)", ""),
        ("jobs", "application", "6(1)(b)", 'group = "optional"'),
        ("poll", "survey", "6(1)(f)", 'group = "optional"\nfurther_processing = "Research"'),
        ("news", "subscription", "6(1)(f)", 'list = "news"'),
        ("tips", "subscription", "6(1)(a)", 'list = "tips"'),
    )
)
POLICY = Policy.model_validate(tomllib.loads(_POLICY))
