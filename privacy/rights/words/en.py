"""The fixed words, in English."""

from privacy.rights.copy import Store
from privacy.rights.plan import RefusalReason, Verdict
from privacy.rights.request import Right
from privacy.rights.words.shape import Headings, Letters, Words

_LETTERS = Letters(
    greeting="Dear sir or madam,",
    closing="Kind regards,\n{controller}\n{contact}",
    confirm_subject="Please confirm your request to {controller}",
    confirm=(
        "Somebody, you we hope, made a request to {controller} with this e-mail address: {right}. "
        "Confirm it until {until} with this link; it works once:\n\n{link}\n\n"
        "If it was not you, do nothing: then nothing happens."
    ),
    answered_subject={
        Verdict.GRANTED: "Your request to {controller} is done",
        Verdict.PARTLY: "Your request to {controller} is done in part",
        Verdict.REFUSED: "Your request to {controller} is refused",
    },
    done={
        Right.ACCESS: "You asked which data we hold about you. They are in the answer.",
        Right.RECTIFICATION: (
            "Your data are corrected, with us and with everybody whom we gave them to."
        ),
        Right.ERASURE: "Your data are erased, with us and with everybody whom we gave them to.",
        Right.RESTRICTION: (
            "Your data are restricted: we store them and do nothing else with them until the "
            "restriction is lifted. We tell you before that."
        ),
        Right.LIFTING: "The restriction of your data is lifted.",
        Right.PORTABILITY: "Your data are in the answer, in a form that other services can read.",
        Right.OBJECTION: "We no longer process your data for what you objected to.",
        Right.WITHDRAWAL: (
            "Your consent is withdrawn. What was done before on the strength of it stays lawful."
        ),
    },
    partly="We could not do everything that you asked:",
    refused="We do not do what you asked:",
    because={
        RefusalReason.CLAIM: (
            "We need the data to establish, exercise or defend a legal claim (Art. 17(3)(e) GDPR)."
        ),
        RefusalReason.IDENTITY_NOT_SHOWN: (
            "We could not make sure that the request is yours (Art. 12(2) and 12(6) GDPR)."
        ),
        RefusalReason.UNFOUNDED: "The request is manifestly unfounded (Art. 12(5) GDPR).",
        RefusalReason.EXCESSIVE: (
            "The request is excessive: the same was asked too often (Art. 12(5) GDPR)."
        ),
        RefusalReason.COMPELLING_GROUNDS: (
            "We have compelling legitimate grounds that override the objection (Art. 21(1) GDPR)."
        ),
        RefusalReason.NOT_RESTRICTED: "Your data are under no restriction (Art. 18 GDPR).",
        RefusalReason.NOTHING_TO_CORRECT: (
            "We hold nothing about you that could be corrected like that (Art. 16 GDPR)."
        ),
        RefusalReason.NOT_PORTABLE: (
            "The data are processed neither on consent nor under a contract (Art. 20(1) GDPR). "
            "You can ask for access to them."
        ),
    },
    silent="Not confirmed yet, so that we go on asking: {who}.",
    keeping=(
        "They offer no way to delete what they were told of single visits with your consent, "
        "so that it stays with them: {who}."
    ),
    file="Fetch the answer until {until} with this link; it works once:\n\n{link}",
    extended_subject="Your request to {controller} takes longer",
    extended=(
        "We answer your request ({right}) by {deadline} at the latest, which is later than a month "
        "after it came in (Art. 12(3) GDPR). The reason: {because}"
    ),
    lifting_subject="{controller} lifts the restriction of your data",
    lifting=(
        "The restriction of your data will be lifted at {at} (Art. 18(3) GDPR). From then on we "
        "process them again as our privacy policy says."
    ),
    complaint=(
        "You have the right to lodge a complaint with a supervisory authority: that of the place "
        "where you live, where you work or where you think your rights were infringed "
        "(Art. 77 GDPR). The authority for us is:"
    ),
    remedy="You may also turn to a court (Art. 79 GDPR).",
)

_HEADINGS = Headings(
    title="Your data",
    made_at="Made at {at} for the person who asked. Keep it to yourself.",
    data="What we hold about you",
    nothing="Where we hold nothing about you",
    stores={
        Store.CASES: "Forms you sent, and where they stand",
        Store.FIELDS: "What you filled in",
        Store.LISTS: "Mailing lists you are on",
        Store.OPT_OUTS: "Mailing lists you left",
        Store.CONSENTS: "Your consents as they stand",
        Store.CONSENT_CHANGES: "The history of your consents",
        Store.PROFILE: "Your profile",
        Store.PROVIDERS: "What may have reached advertising providers",
        Store.EVENTS: "Your visits of today",
        Store.HOLDERS: "What others hold for us",
        Store.KEY_USES: "Who opened your data",
        Store.REQUESTS: "Your requests",
        Store.HOLDS: "Restrictions and claims",
        Store.SUPPRESSED: "Earlier erasures",
        Store.DELETIONS: "Deletions",
    },
    purposes="Purposes",
    legal_basis="Legal basis",
    categories="Categories of data",
    recipients="Recipients",
    transfers="Third countries, and what protects the data there (Art. 46 GDPR)",
    no_transfers="None.",
    kept_until="Kept until",
    rights="Your rights",
    your_rights=(
        "You may ask us for access (Art. 15 GDPR), rectification (Art. 16), erasure (Art. 17), "
        "restriction (Art. 18) and portability (Art. 20), object (Art. 21), and withdraw a "
        "consent at any time (Art. 7(3))."
    ),
    complaint="Complaint",
    source="Source",
    sources=(
        "You gave us the data yourself, with forms and choices on our sites, or your browser sent "
        "them when you visited. We bought and took over none from others."
    ),
    automated="Automated decisions",
    controller="Controller",
    officer="Data protection officer",
)

WORDS = Words(
    language="en",
    rights={
        Right.ACCESS: "access to your data",
        Right.RECTIFICATION: "correction of your data",
        Right.ERASURE: "erasure of your data",
        Right.RESTRICTION: "restriction of processing",
        Right.LIFTING: "lifting of a restriction",
        Right.PORTABILITY: "a portable copy of your data",
        Right.OBJECTION: "objection to processing",
        Right.WITHDRAWAL: "withdrawal of consent",
    },
    letters=_LETTERS,
    headings=_HEADINGS,
)
