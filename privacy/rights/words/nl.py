"""The fixed words, in Dutch."""

from privacy.rights.copy import Store
from privacy.rights.plan import RefusalReason, Verdict
from privacy.rights.request import Right
from privacy.rights.words.shape import Headings, Letters, Words

_LETTERS = Letters(
    greeting="Geachte heer of mevrouw,",
    closing="Met vriendelijke groet,\n{controller}\n{contact}",
    confirm_subject="Bevestig uw verzoek aan {controller}",
    confirm=(
        "Iemand, naar wij hopen uzelf, heeft met dit e-mailadres een verzoek gedaan aan "
        "{controller}: {right}. Bevestig het tot {until} met deze link; die werkt één keer:"
        "\n\n{link}\n\nWas u het niet, doe dan niets: dan gebeurt er niets."
    ),
    answered_subject={
        Verdict.GRANTED: "Uw verzoek aan {controller} is uitgevoerd",
        Verdict.PARTLY: "Uw verzoek aan {controller} is gedeeltelijk uitgevoerd",
        Verdict.REFUSED: "Uw verzoek aan {controller} is geweigerd",
    },
    done={
        Right.ACCESS: "U vroeg welke gegevens wij van u hebben. Ze staan in het antwoord.",
        Right.RECTIFICATION: (
            "Uw gegevens zijn verbeterd, bij ons en bij iedereen aan wie wij ze hebben gegeven."
        ),
        Right.ERASURE: (
            "Uw gegevens zijn gewist, bij ons en bij iedereen aan wie wij ze hebben gegeven."
        ),
        Right.RESTRICTION: (
            "De verwerking van uw gegevens is beperkt: wij bewaren ze en doen er verder niets mee "
            "tot de beperking wordt opgeheven. Dat melden wij u vooraf."
        ),
        Right.LIFTING: "De beperking van de verwerking van uw gegevens is opgeheven.",
        Right.PORTABILITY: (
            "Uw gegevens staan in het antwoord, in een vorm die andere diensten kunnen lezen."
        ),
        Right.OBJECTION: "Wij verwerken uw gegevens niet meer voor dat waartegen u bezwaar maakte.",
        Right.WITHDRAWAL: (
            "Uw toestemming is ingetrokken. Wat daarvoor op grond ervan is gedaan, blijft "
            "rechtmatig."
        ),
    },
    partly="Wij konden niet alles doen wat u vroeg:",
    refused="Wij doen niet wat u vroeg:",
    because={
        RefusalReason.CLAIM: (
            "Wij hebben de gegevens nodig voor de instelling, uitoefening of onderbouwing van een "
            "rechtsvordering (art. 17(3)(e) AVG)."
        ),
        RefusalReason.IDENTITY_NOT_SHOWN: (
            "Wij konden niet vaststellen dat het verzoek van u komt (art. 12(2) en 12(6) AVG)."
        ),
        RefusalReason.UNFOUNDED: "Het verzoek is kennelijk ongegrond (art. 12(5) AVG).",
        RefusalReason.EXCESSIVE: (
            "Het verzoek is buitensporig: hetzelfde is te vaak gevraagd (art. 12(5) AVG)."
        ),
        RefusalReason.COMPELLING_GROUNDS: (
            "Wij hebben dwingende gerechtvaardigde gronden die zwaarder wegen dan het bezwaar "
            "(art. 21(1) AVG)."
        ),
        RefusalReason.NOT_RESTRICTED: (
            "De verwerking van uw gegevens is niet beperkt (art. 18 AVG)."
        ),
        RefusalReason.NOTHING_TO_CORRECT: (
            "Wij hebben niets van u dat zo kan worden verbeterd (art. 16 AVG)."
        ),
        RefusalReason.NOT_PORTABLE: (
            "De gegevens worden niet op grond van toestemming of een overeenkomst verwerkt "
            "(art. 20(1) AVG). U kunt wel om inzage vragen."
        ),
    },
    silent="Nog niet bevestigd, zodat wij het blijven vragen: {who}.",
    keeping=(
        "Zij bieden geen manier om te wissen wat hun met uw toestemming over losse bezoeken is "
        "gemeld, zodat het bij hen blijft: {who}."
    ),
    file="Haal het antwoord op tot {until} met deze link; die werkt één keer:\n\n{link}",
    extended_subject="Uw verzoek aan {controller} duurt langer",
    extended=(
        "Wij beantwoorden uw verzoek ({right}) uiterlijk op {deadline}, dat is later dan een maand "
        "na ontvangst (art. 12(3) AVG). De reden: {because}"
    ),
    lifting_subject="{controller} heft de beperking van uw gegevens op",
    lifting=(
        "De beperking van de verwerking van uw gegevens wordt opgeheven op {at} (art. 18(3) AVG). "
        "Vanaf dan verwerken wij ze weer zoals ons privacybeleid zegt."
    ),
    complaint=(
        "U hebt het recht een klacht in te dienen bij een toezichthoudende autoriteit: die van de "
        "plaats waar u woont, waar u werkt of waar volgens u inbreuk op uw rechten is gemaakt "
        "(art. 77 AVG). De autoriteit voor ons is:"
    ),
    remedy="U kunt zich ook tot de rechter wenden (art. 79 AVG).",
)

_HEADINGS = Headings(
    title="Uw gegevens",
    made_at="Gemaakt op {at} voor wie erom vroeg. Bewaar het voor uzelf.",
    data="Wat wij van u hebben",
    nothing="Waar wij niets over u hebben",
    stores={
        Store.CASES: "Formulieren die u stuurde, en hoe het ermee staat",
        Store.FIELDS: "Wat u invulde",
        Store.LISTS: "Mailinglijsten waarop u staat",
        Store.OPT_OUTS: "Mailinglijsten waarvan u af ging",
        Store.CONSENTS: "Uw toestemmingen zoals ze gelden",
        Store.CONSENT_CHANGES: "De geschiedenis van uw toestemmingen",
        Store.PROFILE: "Uw profiel",
        Store.PROVIDERS: "Wat advertentieaanbieders bereikt kan hebben",
        Store.EVENTS: "Uw bezoeken van vandaag",
        Store.HOLDERS: "Wat anderen voor ons bewaren",
        Store.KEY_USES: "Wie uw gegevens opende",
        Store.REQUESTS: "Uw verzoeken",
        Store.HOLDS: "Beperkingen en vorderingen",
        Store.SUPPRESSED: "Eerdere wissingen",
        Store.DELETIONS: "Verwijderingen",
    },
    purposes="Doeleinden",
    legal_basis="Rechtsgrond",
    categories="Categorieën van gegevens",
    recipients="Ontvangers",
    transfers="Derde landen, en wat de gegevens daar beschermt (art. 46 AVG)",
    no_transfers="Geen.",
    kept_until="Bewaard tot",
    rights="Uw rechten",
    your_rights=(
        "U kunt ons vragen om inzage (art. 15 AVG), rectificatie (art. 16), wissing (art. 17), "
        "beperking (art. 18) en overdraagbaarheid (art. 20), bezwaar maken (art. 21) en een "
        "toestemming te allen tijde intrekken (art. 7(3))."
    ),
    complaint="Klacht",
    source="Bron",
    sources=(
        "U gaf ons de gegevens zelf, met formulieren en keuzes op onze sites, of uw browser "
        "stuurde ze bij een bezoek. Wij kochten geen gegevens en namen er geen over van anderen."
    ),
    automated="Geautomatiseerde besluiten",
    controller="Verwerkingsverantwoordelijke",
    officer="Functionaris voor gegevensbescherming",
)

WORDS = Words(
    language="nl",
    rights={
        Right.ACCESS: "inzage in uw gegevens",
        Right.RECTIFICATION: "verbetering van uw gegevens",
        Right.ERASURE: "wissing van uw gegevens",
        Right.RESTRICTION: "beperking van de verwerking",
        Right.LIFTING: "opheffing van een beperking",
        Right.PORTABILITY: "een overdraagbare kopie van uw gegevens",
        Right.OBJECTION: "bezwaar tegen verwerking",
        Right.WITHDRAWAL: "intrekking van toestemming",
    },
    letters=_LETTERS,
    headings=_HEADINGS,
)
