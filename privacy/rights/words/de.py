"""The fixed words, in German."""

from privacy.rights.copy import Store
from privacy.rights.plan import RefusalReason, Verdict
from privacy.rights.request import Right
from privacy.rights.words.shape import Headings, Letters, Words

_LETTERS = Letters(
    greeting="Guten Tag,",
    closing="Mit freundlichen Grüßen\n{controller}\n{contact}",
    confirm_subject="Bitte bestätigen Sie Ihren Antrag an {controller}",
    confirm=(
        "Jemand, hoffentlich Sie selbst, hat mit dieser E-Mail-Adresse einen Antrag an "
        "{controller} gestellt: {right}. Bestätigen Sie ihn bis {until} mit diesem Link; er gilt "
        "einmal:\n\n{link}\n\nWaren Sie es nicht, so tun Sie nichts: Dann geschieht nichts."
    ),
    answered_subject={
        Verdict.GRANTED: "Ihr Antrag an {controller} ist erledigt",
        Verdict.PARTLY: "Ihr Antrag an {controller} ist teilweise erledigt",
        Verdict.REFUSED: "Ihr Antrag an {controller} ist abgelehnt",
    },
    done={
        Right.ACCESS: "Sie fragten, welche Daten wir über Sie haben. Sie stehen in der Antwort.",
        Right.RECTIFICATION: (
            "Ihre Daten sind berichtigt, bei uns und bei allen, denen wir sie gegeben haben."
        ),
        Right.ERASURE: (
            "Ihre Daten sind gelöscht, bei uns und bei allen, denen wir sie gegeben haben."
        ),
        Right.RESTRICTION: (
            "Die Verarbeitung Ihrer Daten ist eingeschränkt: Wir speichern sie und tun sonst "
            "nichts damit, bis die Einschränkung aufgehoben wird. Davor unterrichten wir Sie."
        ),
        Right.LIFTING: "Die Einschränkung der Verarbeitung Ihrer Daten ist aufgehoben.",
        Right.PORTABILITY: (
            "Ihre Daten stehen in der Antwort, in einer Form, die andere Dienste lesen können."
        ),
        Right.OBJECTION: (
            "Wir verarbeiten Ihre Daten nicht mehr für das, dem Sie widersprochen haben."
        ),
        Right.WITHDRAWAL: (
            "Ihre Einwilligung ist widerrufen. Was vorher aufgrund von ihr geschah, bleibt "
            "rechtmäßig."
        ),
    },
    partly="Wir konnten nicht alles tun, was Sie verlangten:",
    refused="Wir tun nicht, was Sie verlangten:",
    because={
        RefusalReason.CLAIM: (
            "Wir brauchen die Daten zur Geltendmachung, Ausübung oder Verteidigung von "
            "Rechtsansprüchen (Art. 17(3)(e) DSGVO)."
        ),
        RefusalReason.IDENTITY_NOT_SHOWN: (
            "Wir konnten nicht feststellen, dass der Antrag von Ihnen kommt "
            "(Art. 12(2) und 12(6) DSGVO)."
        ),
        RefusalReason.UNFOUNDED: "Der Antrag ist offenkundig unbegründet (Art. 12(5) DSGVO).",
        RefusalReason.EXCESSIVE: (
            "Der Antrag ist exzessiv: Dasselbe wurde zu oft verlangt (Art. 12(5) DSGVO)."
        ),
        RefusalReason.COMPELLING_GROUNDS: (
            "Wir haben zwingende schutzwürdige Gründe, die den Widerspruch überwiegen "
            "(Art. 21(1) DSGVO)."
        ),
        RefusalReason.NOT_RESTRICTED: (
            "Die Verarbeitung Ihrer Daten ist nicht eingeschränkt (Art. 18 DSGVO)."
        ),
        RefusalReason.NOTHING_TO_CORRECT: (
            "Wir haben nichts über Sie, das so berichtigt werden könnte (Art. 16 DSGVO)."
        ),
        RefusalReason.NOT_PORTABLE: (
            "Die Daten werden weder aufgrund einer Einwilligung noch eines Vertrags verarbeitet "
            "(Art. 20(1) DSGVO). Sie können Auskunft darüber verlangen."
        ),
    },
    silent="Noch nicht bestätigt, so dass wir weiter nachfragen: {who}.",
    keeping=(
        "Dort lässt sich nicht löschen, was mit Ihrer Einwilligung über einzelne Besuche "
        "gemeldet wurde, so dass es dort bleibt: {who}."
    ),
    file="Holen Sie die Antwort bis {until} mit diesem Link ab; er gilt einmal:\n\n{link}",
    extended_subject="Ihr Antrag an {controller} dauert länger",
    extended=(
        "Wir beantworten Ihren Antrag ({right}) spätestens am {deadline}, also später als einen "
        "Monat nach Eingang (Art. 12(3) DSGVO). Der Grund: {because}"
    ),
    lifting_subject="{controller} hebt die Einschränkung Ihrer Daten auf",
    lifting=(
        "Die Einschränkung der Verarbeitung Ihrer Daten wird am {at} aufgehoben "
        "(Art. 18(3) DSGVO). Von da an verarbeiten wir sie wieder, wie es unsere "
        "Datenschutzerklärung sagt."
    ),
    complaint=(
        "Sie haben das Recht auf Beschwerde bei einer Aufsichtsbehörde: der des Ortes, an dem Sie "
        "wohnen, arbeiten oder an dem Ihre Rechte nach Ihrer Ansicht verletzt wurden "
        "(Art. 77 DSGVO). Die Behörde für uns ist:"
    ),
    remedy="Sie können sich auch an ein Gericht wenden (Art. 79 DSGVO).",
)

_HEADINGS = Headings(
    title="Ihre Daten",
    made_at="Erstellt am {at} für die Person, die darum bat. Behalten Sie es für sich.",
    data="Was wir über Sie haben",
    nothing="Wo wir nichts über Sie haben",
    stores={
        Store.CASES: "Formulare, die Sie sandten, und wie es um sie steht",
        Store.FIELDS: "Was Sie ausfüllten",
        Store.LISTS: "Verteiler, auf denen Sie stehen",
        Store.OPT_OUTS: "Verteiler, die Sie verließen",
        Store.CONSENTS: "Ihre Einwilligungen, wie sie gelten",
        Store.CONSENT_CHANGES: "Der Verlauf Ihrer Einwilligungen",
        Store.PROFILE: "Ihr Profil",
        Store.PROVIDERS: "Was Werbeanbieter erreicht haben kann",
        Store.EVENTS: "Ihre Besuche von heute",
        Store.HOLDERS: "Was andere für uns aufbewahren",
        Store.KEY_USES: "Wer Ihre Daten öffnete",
        Store.REQUESTS: "Ihre Anträge",
        Store.HOLDS: "Einschränkungen und Rechtsansprüche",
        Store.SUPPRESSED: "Frühere Löschungen auf Antrag",
        Store.DELETIONS: "Löschungen",
    },
    purposes="Zwecke",
    legal_basis="Rechtsgrundlage",
    categories="Kategorien von Daten",
    recipients="Empfänger",
    transfers="Drittländer, und was die Daten dort schützt (Art. 46 DSGVO)",
    no_transfers="Keine.",
    kept_until="Aufbewahrt bis",
    rights="Ihre Rechte",
    your_rights=(
        "Sie können von uns Auskunft (Art. 15 DSGVO), Berichtigung (Art. 16), Löschung (Art. 17), "
        "Einschränkung (Art. 18) und Übertragbarkeit (Art. 20) verlangen, widersprechen (Art. 21) "
        "und eine Einwilligung jederzeit widerrufen (Art. 7(3))."
    ),
    complaint="Beschwerde",
    source="Herkunft",
    sources=(
        "Sie gaben uns die Daten selbst, mit Formularen und Entscheidungen auf unseren Seiten, "
        "oder Ihr Browser sandte sie bei einem Besuch. Wir haben keine gekauft und keine von "
        "anderen übernommen."
    ),
    automated="Automatisierte Entscheidungen",
    controller="Verantwortlicher",
    officer="Datenschutzbeauftragter",
)

WORDS = Words(
    language="de",
    rights={
        Right.ACCESS: "Auskunft über Ihre Daten",
        Right.RECTIFICATION: "Berichtigung Ihrer Daten",
        Right.ERASURE: "Löschung Ihrer Daten",
        Right.RESTRICTION: "Einschränkung der Verarbeitung",
        Right.LIFTING: "Aufhebung einer Einschränkung",
        Right.PORTABILITY: "eine übertragbare Kopie Ihrer Daten",
        Right.OBJECTION: "Widerspruch gegen die Verarbeitung",
        Right.WITHDRAWAL: "Widerruf der Einwilligung",
    },
    letters=_LETTERS,
    headings=_HEADINGS,
)
