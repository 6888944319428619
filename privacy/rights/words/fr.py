"""The fixed words, in French."""

from privacy.rights.copy import Store
from privacy.rights.plan import RefusalReason, Verdict
from privacy.rights.request import Right
from privacy.rights.words.shape import Headings, Letters, Words

_LETTERS = Letters(
    greeting="Madame, Monsieur,",
    closing="Cordialement,\n{controller}\n{contact}",
    confirm_subject="Confirmez votre demande à {controller}",
    confirm=(
        "Quelqu'un, vous-même nous l'espérons, a adressé une demande à {controller} avec cette "
        "adresse électronique : {right}. Confirmez-la jusqu'au {until} par ce lien, qui ne sert "
        "qu'une fois :\n\n{link}\n\nSi ce n'était pas vous, ne faites rien : il ne se passera rien."
    ),
    answered_subject={
        Verdict.GRANTED: "Votre demande à {controller} est exécutée",
        Verdict.PARTLY: "Votre demande à {controller} est exécutée en partie",
        Verdict.REFUSED: "Votre demande à {controller} est refusée",
    },
    done={
        Right.ACCESS: (
            "Vous avez demandé quelles données nous avons sur vous. Elles sont dans la réponse."
        ),
        Right.RECTIFICATION: (
            "Vos données sont rectifiées, chez nous et chez tous ceux à qui nous les avons "
            "communiquées."
        ),
        Right.ERASURE: (
            "Vos données sont effacées, chez nous et chez tous ceux à qui nous les avons "
            "communiquées."
        ),
        Right.RESTRICTION: (
            "Le traitement de vos données est limité : nous les conservons et n'en faisons rien "
            "d'autre jusqu'à la levée de la limitation. Nous vous en informerons auparavant."
        ),
        Right.LIFTING: "La limitation du traitement de vos données est levée.",
        Right.PORTABILITY: (
            "Vos données sont dans la réponse, sous une forme que d'autres services peuvent lire."
        ),
        Right.OBJECTION: (
            "Nous ne traitons plus vos données pour ce à quoi vous vous êtes opposé."
        ),
        Right.WITHDRAWAL: (
            "Votre consentement est retiré. Ce qui a été fait auparavant sur sa base reste licite."
        ),
    },
    partly="Nous n'avons pas pu faire tout ce que vous avez demandé :",
    refused="Nous ne faisons pas ce que vous avez demandé :",
    because={
        RefusalReason.CLAIM: (
            "Nous avons besoin des données pour la constatation, l'exercice ou la défense de "
            "droits en justice (art. 17(3)(e) RGPD)."
        ),
        RefusalReason.IDENTITY_NOT_SHOWN: (
            "Nous n'avons pas pu nous assurer que la demande vient de vous "
            "(art. 12(2) et 12(6) RGPD)."
        ),
        RefusalReason.UNFOUNDED: "La demande est manifestement infondée (art. 12(5) RGPD).",
        RefusalReason.EXCESSIVE: (
            "La demande est excessive : la même a été faite trop souvent (art. 12(5) RGPD)."
        ),
        RefusalReason.COMPELLING_GROUNDS: (
            "Nous avons des motifs légitimes et impérieux qui prévalent sur l'opposition "
            "(art. 21(1) RGPD)."
        ),
        RefusalReason.NOT_RESTRICTED: (
            "Le traitement de vos données n'est pas limité (art. 18 RGPD)."
        ),
        RefusalReason.NOTHING_TO_CORRECT: (
            "Nous n'avons rien sur vous qui puisse être rectifié ainsi (art. 16 RGPD)."
        ),
        RefusalReason.NOT_PORTABLE: (
            "Les données ne sont traitées ni sur la base du consentement ni en vertu d'un contrat "
            "(art. 20(1) RGPD). Vous pouvez demander d'y accéder."
        ),
    },
    silent="Pas encore confirmé, de sorte que nous continuons à le demander : {who}.",
    keeping=(
        "Rien n'y permet d'effacer ce qui a été communiqué de visites isolées avec votre "
        "consentement, de sorte que cela y reste : {who}."
    ),
    file="Retirez la réponse jusqu'au {until} par ce lien, qui ne sert qu'une fois :\n\n{link}",
    extended_subject="Votre demande à {controller} prend plus de temps",
    extended=(
        "Nous répondrons à votre demande ({right}) au plus tard le {deadline}, soit plus d'un mois "
        "après sa réception (art. 12(3) RGPD). La raison : {because}"
    ),
    lifting_subject="{controller} lève la limitation du traitement de vos données",
    lifting=(
        "La limitation du traitement de vos données sera levée le {at} (art. 18(3) RGPD). Dès lors "
        "nous les traiterons à nouveau comme le dit notre politique de confidentialité."
    ),
    complaint=(
        "Vous avez le droit d'introduire une réclamation auprès d'une autorité de contrôle : celle "
        "du lieu où vous résidez, où vous travaillez ou où, selon vous, vos droits ont été violés "
        "(art. 77 RGPD). L'autorité dont nous relevons est :"
    ),
    remedy="Vous pouvez aussi saisir un juge (art. 79 RGPD).",
)

_HEADINGS = Headings(
    title="Vos données",
    made_at="Établi le {at} pour la personne qui l'a demandé. Gardez-le pour vous.",
    data="Ce que nous avons sur vous",
    nothing="Où nous ne détenons rien sur vous",
    stores={
        Store.CASES: "Formulaires que vous avez envoyés, et où ils en sont",
        Store.FIELDS: "Ce que vous avez rempli",
        Store.LISTS: "Listes de diffusion auxquelles vous êtes inscrit",
        Store.OPT_OUTS: "Listes de diffusion que vous avez quittées",
        Store.CONSENTS: "Vos consentements en vigueur",
        Store.CONSENT_CHANGES: "L'historique de vos consentements",
        Store.PROFILE: "Votre profil",
        Store.PROVIDERS: "Ce qui a pu parvenir à des fournisseurs de publicité",
        Store.EVENTS: "Vos visites d'aujourd'hui",
        Store.HOLDERS: "Ce que d'autres détiennent pour nous",
        Store.KEY_USES: "Qui a ouvert vos données",
        Store.REQUESTS: "Vos demandes",
        Store.HOLDS: "Limitations et litiges",
        Store.SUPPRESSED: "Effacements antérieurs",
        Store.DELETIONS: "Suppressions",
    },
    purposes="Finalités",
    legal_basis="Base juridique",
    categories="Catégories de données",
    recipients="Destinataires",
    transfers="Pays tiers, et ce qui y protège les données (art. 46 RGPD)",
    no_transfers="Aucun.",
    kept_until="Conservées jusqu'à ce que",
    rights="Vos droits",
    your_rights=(
        "Vous pouvez nous demander l'accès (art. 15 RGPD), la rectification (art. 16), "
        "l'effacement (art. 17), la limitation (art. 18) et la portabilité (art. 20), vous opposer "
        "(art. 21) et retirer un consentement à tout moment (art. 7(3))."
    ),
    complaint="Réclamation",
    source="Source",
    sources=(
        "Vous nous avez donné les données vous-même, par des formulaires et des choix sur nos "
        "sites, ou votre navigateur les a envoyées lors d'une visite. Nous n'en avons ni acheté ni "
        "repris à d'autres."
    ),
    automated="Décisions automatisées",
    controller="Responsable du traitement",
    officer="Délégué à la protection des données",
)

WORDS = Words(
    language="fr",
    rights={
        Right.ACCESS: "accès à vos données",
        Right.RECTIFICATION: "rectification de vos données",
        Right.ERASURE: "effacement de vos données",
        Right.RESTRICTION: "limitation du traitement",
        Right.LIFTING: "levée d'une limitation",
        Right.PORTABILITY: "une copie portable de vos données",
        Right.OBJECTION: "opposition au traitement",
        Right.WITHDRAWAL: "retrait du consentement",
    },
    letters=_LETTERS,
    headings=_HEADINGS,
)
