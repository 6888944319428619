"""Each rule of the policy file, with what is said when it is broken, and of which line."""

from pathlib import Path

import pytest

from streams.policy import PolicyError, load, parse


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(text, "p.toml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_the_policy_the_others_break_is_valid(text: str) -> None:
    assert parse(text, "p.toml").version == "1"


NAME = "is not a name; use lower-case letters, digits and -, a letter first, 40 at most"
PAGE = "is not the path of pages; begin with / and write * for anything, no query or fragment"
EVENT = "is no event's name; use lower-case letters, digits and _ . : -, 64 at most"
TABLE = "is not a table; give it a [section] of its own"
FIELDS = "third_country, safeguard, purpose, sites, pages, conversions, audiences, user_agent"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # Types.
        ('version = "1"', "", "1: version: is missing; write it"),
        ('version = "1"', "version = 1", "1: version: is not text; put it in quotes"),
        ('version = "1"', 'version = " "', "1: version: is empty; write something"),
        ("contact =", "#", "2: controller.contact: is missing; write it"),
        ('covers = "ads"', "", "10: purposes.ads.covers: is missing; write it"),
        (
            'mode = "opt_out"',
            'mode = "opt-out"',
            "8: purposes.reading.mode: is none of those known; write 'opt_in' or 'opt_out'",
        ),
        (
            'covers = "ads"',
            'covers = "adverts"',
            (
                "12: purposes.ads.covers: is none of those known; "
                "write 'analytics', 'location', 'ads' or 'profile'"
            ),
        ),
        (
            "pages = true",
            'pages = "true"',
            "28: providers.meta.pages: is not true or false; write one, without quotes",
        ),
        (
            "user_agent = true",
            "user_agent = 1",
            "29: providers.meta.user_agent: is not true or false; write one, without quotes",
        ),
        (
            'sites = ["shop.example"]\npages = true',
            'sites = "shop.example"\npages = true',
            "27: providers.meta.sites: is not a list; put it in [ ]",
        ),
        (
            'sites = ["shop.example", "www.example"]',
            "sites = []",
            "33: providers.x.sites: is empty; list one at least",
        ),
        (
            'sites = ["shop.example"]\npages = [',
            "sites = []\npages = [",
            "17: audiences.buyers.sites: is empty; list one at least",
        ),
        ('"www.example"]', "7]", "33: providers.x.sites[1]: is not text; put it in quotes"),
        (
            'audiences.buyers = "120000000000001"',
            "audiences = 1",
            f"30: providers.meta.audiences: {TABLE}",
        ),
        ("[purposes.ads]", "[[purposes.ads]]", f"10: purposes.ads: {TABLE}"),
        # Names and patterns.
        ("[purposes.reading]", '[purposes."Read ing"]', f'5: purposes."Read ing": {NAME}'),
        ("[purposes.reading]", f"[purposes.{41 * 'a'}]", f"5: purposes.{41 * 'a'}: {NAME}"),
        (
            "[purposes.reading]",
            "[purposes.restriction]",
            "5: purposes.restriction: stands for a right of the person; choose another name",
        ),
        ('page = "/thanks"', 'page = "thanks"', f"35: providers.x.conversions[0].page: {PAGE}"),
        ('page = "/thanks*"', 'page = "/t?a=1"', f"38: providers.x.conversions[1].page: {PAGE}"),
        ('"/orders/*"', '"/orders#top"', f"18: audiences.buyers.pages[1]: {PAGE}"),
        ('"/orders/*"', '"/orders/[0-9]"', f"18: audiences.buyers.pages[1]: {PAGE}"),
        ('events = ["buy"]', 'events = ["Buy"]', f"22: audiences.buyers.events[0]: {EVENT}"),
        (
            'id = "ex4mp2"',
            'id = ""',
            "39: providers.x.conversions[1].id: is empty; write something",
        ),
        # Keys nobody knows.
        (
            "user_agent = true",
            "user_agnet = true",
            "29: providers.meta.user_agnet: is no key here; did you mean user_agent?",
        ),
        (
            "user_agent = true",
            "zz = true",
            f"29: providers.meta.zz: is no key here; those are {FIELDS}",
        ),
        (
            "[providers.meta]",
            "[providers.meat]",
            "25: providers.meat: is no key here; did you mean meta?",
        ),
        (
            "[providers.meta]",
            "[providers.zz]",
            "25: providers.zz: is no key here; those are ga4, google-ads, linkedin, meta, x",
        ),
        (
            'id = "ex4mp2"',
            'id = "ex4mp2"\nvalue = 3',
            "40: providers.x.conversions[1].value: is no key here; those are page, id",
        ),
        (
            'version = "1"',
            'version = "1"\npurpose = 1',
            "2: purpose: is no key here; did you mean purposes?",
        ),
        # What a policy may not say.
        (
            'covers = "analytics"',
            'covers = "ads"',
            '8: purposes.reading.mode: is opt_in for ads, always (S14); write mode = "opt_in"',
        ),
        (
            "Art. 6(1)(f)",
            "Art. 6(1)(a)",
            (
                "9: purposes.reading.legal_basis: is consent, which needs a yes; "
                'write mode = "opt_in" or another'
            ),
        ),
        (
            'pages = [\n  "/thanks*",\n  "/orders/*",\n]\nevents = ["buy"]',
            "",
            "16: audiences.buyers: has no members without a rule; write pages or events",
        ),
        # What does not hang together.
        (
            'purpose = "ads"\nsites = ["shop.example"]\n',
            'purpose = "reading"\nsites = ["shop.example"]\n',
            (
                "26: providers.meta.purpose: is no purpose for ads; "
                'name one of [purposes] with covers = "ads"'
            ),
        ),
        (
            'purpose = "ads"\nsites = ["shop.example"]\n',
            'purpose = "other"\nsites = ["shop.example"]\n',
            (
                "26: providers.meta.purpose: is no purpose for ads; "
                'name one of [purposes] with covers = "ads"'
            ),
        ),
        (
            "audiences.buyers =",
            "audiences.sellers =",
            (
                "30: providers.meta.audiences.sellers: is no audience; "
                "describe it in [audiences.sellers]"
            ),
        ),
        (
            "[[providers.x.conversions]]",
            "pages = true\n[[providers.x.conversions]]",
            (
                "34: providers.x.pages: is not for this provider, which takes no pages; "
                "write [[providers.x.conversions]] instead"
            ),
        ),
        (
            "user_agent = true",
            'conversions = [{ page = "/", id = "7" }]',
            (
                "29: providers.meta.conversions: is not for this provider, which is told pages; "
                "write pages = true"
            ),
        ),
        (
            "[[providers.x.conversions]]",
            "user_agent = true\n[[providers.x.conversions]]",
            "34: providers.x.user_agent: is for meta alone; take it out",
        ),
        (
            'pages = true\nuser_agent = true\naudiences.buyers = "120000000000001"\n',
            "",
            (
                "25: providers.meta: is told nothing; write pages = true or audiences, "
                "or take the provider out"
            ),
        ),
        # Who asks for data says where to complain, and in whose hands they come.
        (
            (
                '[authority]\nname = "Example Authority"\naddress = "2 Example Avenue"\n'
                'complaint = "You may complain here (Art. 77 GDPR)."\n'
            ),
            "",
            (
                "48: services: need an [authority], where people may complain "
                "(Art. 13(2)(d) GDPR); name it"
            ),
        ),
        ('address = "2 Example Avenue"', "", "41: authority.address: is missing; write it"),
        (
            'address = "2 Example Avenue"',
            'address = "2 Example Avenue"\nfax = "1"',
            (
                "44: authority.fax: is no key here; "
                "those are name, address, complaint, phone, email, website"
            ),
        ),
        (
            "[departments.sales]",
            "[departments.rights]",
            "45: departments.rights: is the name of the key for people's rights; choose another",
        ),
        (
            'departments = ["sales"]',
            'departments = ["sales", "care"]',
            "55: services.sample.departments[1]: is none; describe it in [departments.care]",
        ),
        (
            'departments = ["sales"]',
            'departments = ["sales", "sales"]',
            "55: services.sample.departments: lists something twice; once is enough",
        ),
        (
            'services = ["sample"]',
            'services = ["sampel"]',
            "96: holders.crm.services[0]: is no service; describe it in [services.sampel]",
        ),
        (
            'third_country = "US"',
            'third_country = "usa"',
            "97: holders.crm.third_country: is no country's code; write two capitals, as US",
        ),
        (
            'third_country = "US"',
            'third_country = "NL"',
            ("97: holders.crm.third_country: is no third country; take it out, with the safeguard"),
        ),
        (
            'safeguard = "standard contractual clauses"',
            "",
            (
                "94: holders.crm.safeguard: is missing; "
                "say what protects the data there (Art. 45, 46 or 49 GDPR)"
            ),
        ),
        (
            'third_country = "US"',
            "",
            (
                "98: holders.crm.safeguard: is for a third country; "
                "name it as third_country, or take this out"
            ),
        ),
        (
            'version = "1"\n',
            'version = "1"\nsites = ["shop.example"]\n',
            "34: providers.x.sites[1]: is none of the policy's; add it to sites",
        ),
        # Services and their forms.
        (
            'life_cycle = "sample"',
            'life_cycle = "gift"',
            (
                "54: services.sample.life_cycle: is none of those known; write 'contest', "
                "'sample', 'information', 'event', 'registration', 'invitation', 'application', "
                "'survey', 'feedback' or 'subscription'"
            ),
        ),
        (
            'legal_basis = "Art. 6(1)(b) GDPR"',
            'legal_basis = "because"',
            (
                "56: services.sample.legal_basis: names no legal basis; "
                "write one of Art. 6(1)(a) GDPR to Art. 6(1)(f) GDPR"
            ),
        ),
        (
            "deadline_hours = 48",
            'deadline_hours = "48"',
            (
                "59: services.sample.deadline_hours: is not a whole number; "
                "write one, without quotes"
            ),
        ),
        (
            "deadline_hours = 48",
            "deadline_hours = 0",
            "59: services.sample.deadline_hours: is too small; write 1 at least",
        ),
        (
            "deadline_hours = 48",
            "deadline_hours = 721",
            "59: services.sample.deadline_hours: is too large; write 720 at most",
        ),
        (
            "deadline_hours = 48",
            'list = "news"',
            "59: services.sample.list: is what a subscription has; take it out",
        ),
        (
            "deadline_hours = 48",
            'further_processing = "looking at them"',
            "59: services.sample.further_processing: is for surveys and feedback; take it out",
        ),
        (
            "[services.sample.fields.size]",
            "[services.sample.fields.Size]",
            (
                "64: services.sample.fields.Size: is no field's name; use lower-case letters, "
                "digits and _, a letter first, 40 at most"
            ),
        ),
        (
            'kind = "choice"\noptions = ["small", "large"]\n',
            'kind = "choice"\n',
            (
                "64: services.sample.fields.size.options: are what a choice has; "
                'write them with kind = "choice", and only there'
            ),
        ),
        (
            'kind = "choice"\n',
            'kind = "number"\n',
            (
                "67: services.sample.fields.size.options: are what a choice has; "
                'write them with kind = "choice", and only there'
            ),
        ),
        (
            'kind = "choice"\noptions = ["small", "large"]\n',
            'kind = "text"\n',
            (
                "67: services.sample.fields.size.personal: is true for what people write freely; "
                "take it out, or use another kind"
            ),
        ),
        (
            'kind = "choice"\noptions = ["small", "large"]\npersonal = false\n',
            'kind = "email"\n',
            (
                "66: services.sample.fields.size.kind: is a second e-mail address; "
                "a case is one person's, so keep one"
            ),
        ),
        (
            "personal = false",
            "badge = true",
            (
                "68: services.sample.fields.size.badge: "
                "is for registrations and invitations; take it out"
            ),
        ),
        (
            'fields.answer = { title = "Answer", kind = "long_text" }',
            "fields = {}",
            "92: services.poll.fields: is empty; list one at least",
        ),
        (
            'list = "news"',
            'list = "nwes"',
            "75: services.news.list: is no list; describe it in [lists.nwes]",
        ),
        (
            'list = "news"\n',
            "",
            ("69: services.news.list: is missing; name the one of [lists] that is subscribed to"),
        ),
        (
            'kind = "email", mandatory = true }',
            'kind = "email" }',
            (
                "76: services.news.fields: have no e-mail address to write to; "
                "add a mandatory field of that kind"
            ),
        ),
        (
            'group = "required"',
            'group = "optional"',
            (
                "83: services.visit.group: is the event, which there must be one of; "
                'write "required"'
            ),
        ),
        (
            (
                'life_cycle = "registration"\ndepartments = ["sales"]\n'
                'legal_basis = "Art. 6(1)(b) GDPR"\npurposes = ["Holding events"]\n'
                'group = "required"\nfields.name = { title = "Name", kind = "text", '
                "guest_list = true, badge = true }"
            ),
            (
                'life_cycle = "event"\ndepartments = ["sales"]\n'
                'legal_basis = "Art. 6(1)(b) GDPR"\npurposes = ["Holding events"]\n'
                'group = "required"\nfields.capacity = { title = "Seats", kind = "number" }'
            ),
            (
                "84: services.visit.fields.capacity: is what the organiser decides; "
                'write kind = "number" and personal = false'
            ),
        ),
        *(
            (
                (
                    'life_cycle = "registration"\ndepartments = ["sales"]\n'
                    'legal_basis = "Art. 6(1)(b) GDPR"\npurposes = ["Holding events"]\n'
                    'group = "required"\nfields.name = { title = "Name", kind = "text", '
                    "guest_list = true, badge = true }"
                ),
                (
                    'life_cycle = "event"\ndepartments = ["sales"]\n'
                    'legal_basis = "Art. 6(1)(b) GDPR"\npurposes = ["Holding events"]\n'
                    f'group = "required"\nfields.{name} = {{ title = "Who", kind = "choice", '
                    f"options = {options}, personal = false }}"
                ),
                (
                    f"84: services.visit.fields.{name}.options: has one that no registration "
                    f"heeds; choose from {heeded}"
                ),
            )
            for name, options, heeded in (
                ("guest_list", '["public", "guests"]', "organiser, participants, public"),
                ("open_to", '["organiser", "public"]', "participants, public"),
            )
        ),
        (
            "legal_basis",
            "data = [3]\nlegal_basis",
            "9: purposes.reading.data[0]: is not text; put it in quotes",
        ),
        (
            'kept_until = "a day is over"',
            "",
            "99: activities.guard.kept_until: is missing; write it",
        ),
        # Profiles, and how people are answered.
        (
            "[purposes.profile]",
            "[purposes.restriction]",
            "106: purposes.restriction: stands for a right of the person; choose another name",
        ),
        (
            '[profiles]\npurpose = "profile"',
            '[profiles]\npurpose = "ads"',
            (
                "112: profiles.purpose: is no purpose for profiles; "
                'name one of [purposes] with covers = "profile"'
            ),
        ),
        (
            'interests = ["tea"]',
            'interests = ["tae"]',
            (
                "114: profiles.contacts.brewer.interests[0]: is no interest; "
                "describe it in [profiles.interests.tae]"
            ),
        ),
        (
            '[rights]\ndepartment = "sales"',
            '[rights]\ndepartment = "slaes"',
            "117: rights.department: is none; describe it in [departments.slaes]",
        ),
        (
            "notice_hours = 24",
            "notice_hours = 721",
            "118: rights.notice_hours: is too large; write 720 at most",
        ),
        (
            "compelling.sample",
            "compelling.sampel",
            "119: rights.compelling.sampel: is no service; describe it in [services.sampel]",
        ),
        *(
            (
                'url = "https://other.example/v1/portable"',
                f'url = "{url}"',
                (
                    "122: rights.controllers.other.url: is no address to send to; "
                    "write https://host/path, without user, query or fragment"
                ),
            )
            for url in (
                "http://other.example/",
                "https://",
                "https://me@other.example/",
                "https://other.example/?a=1",
                "https://other.example/#a",
                "https://other example/",
            )
        ),
        (
            'safeguard = "an adequacy decision"',
            "",
            (
                "120: rights.controllers.other.safeguard: is missing; "
                "say what protects the data there (Art. 45, 46 or 49 GDPR)"
            ),
        ),
    ],
)
def test_a_broken_rule_is_told_with_line_key_and_remedy(
    text: str, old: str, new: str, problem: str
) -> None:
    assert old in text
    assert problems(text.replace(old, new, 1)) == [f"p.toml:{problem}"]


def test_who_answers_people_says_where_they_may_complain(text: str) -> None:
    head = text.partition("[purposes")[0]
    left = f'{head}[departments.sales]\ntitle = "Sales"\ncontact = "sales@shop.example"\n'
    rule = "need an [authority], where people may complain (Art. 12(4) GDPR); name it"
    assert problems(f'{left}[rights]\ndepartment = "sales"') == [f"p.toml:8: rights: {rule}"]


def test_every_problem_is_told_in_the_order_of_the_file(text: str) -> None:
    text = text.replace('mode = "opt_out"', 'mode = "no"').replace("version", "verzion", 1)
    text = text.replace("audiences.buyers =", "audiences.sellers =").replace("pages = true", "")
    assert [problem.split(": ")[:2] for problem in problems(text)] == [
        ["p.toml:1", "version"],
        ["p.toml:1", "verzion"],
        ["p.toml:8", "purposes.reading.mode"],
        ["p.toml:30", "providers.meta.audiences.sellers"],
    ]


def test_what_hangs_on_a_broken_section_is_not_told_as_well(text: str) -> None:
    """A purpose that is wrong in itself is not also said to be none."""
    text = text.replace('covers = "ads"', 'covers = "adverts"')
    assert [problem.split(": ")[1] for problem in problems(text)] == ["purposes.ads.covers"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('version = "1"\nname = = 2\n', "p.toml:2: is not TOML: Invalid value; mend it"),
        (
            'version = "1"\n\nname = "abc\n',
            "p.toml:3: is not TOML: Illegal character '\\n'; mend it",
        ),
        ('a = """\nabc\n\n', "p.toml:2: is not TOML: Unterminated string; mend it"),
        ("[a]\n[a]\n", "p.toml:2: is not TOML: Cannot declare ('a',) twice; mend it"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_windows_line_ends_count_once(text: str) -> None:
    broken = text.replace('id = "ex4mp2"', "").replace("\n", "\r\n")
    assert problems(broken) == ["p.toml:37: providers.x.conversions[1].id: is missing; write it"]


def test_a_file_that_is_no_text_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b'version = "1"\n# caf\xe9\n')
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert caught.value.problems == [f"{path}:2: is not UTF-8; save the file as UTF-8"]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert caught.value.problems == [
        f"{path}: cannot be read (No such file or directory); name a file"
    ]
