"""German, Spanish and French: one question in two forms, and near ones that are two."""

from __future__ import annotations

import pytest

from plugins.cache.semantic.agree import agree
from plugins.cache.semantic.lexicon import packaged
from plugins.cache.semantic.reading import read

LEXICON = packaged()


def same(a: str, b: str) -> bool:
    verdicts = [agree(read(one, LEXICON), read(other, LEXICON), LEXICON).answer for one, other in ((a, b), (b, a))]
    assert verdicts[0] == verdicts[1]
    return verdicts[0] == "same"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Wie kann ich mein Passwort zurücksetzen?", "Wie setze ich mein Passwort zurück?"),
        ("Wo finde ich meine Rechnungen?", "wo kann ich meine rechnungen finden, bitte"),
        ("Was kostet der Versand?", "Hallo, wie viel kostet der Versand?"),
        ("¿Cómo puedo cambiar mi contraseña?", "como cambio mi clave"),
        ("¿Cuánto cuesta el envío a México?", "Cuanto cuesta el envio a Mexico"),
        ("Comment puis-je annuler mon abonnement ?", "Comment annuler mon abonnement ?"),
        ("Où est ma commande ?", "Bonjour, où est ma commande svp"),
    ],
)
def test_one_question_in_two_forms(a: str, b: str) -> None:
    assert same(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Wie kündige ich mein Abo?", "Wie verlängere ich mein Abo?"),
        ("Wie komme ich von Berlin nach Hamburg?", "Wie komme ich von Hamburg nach Berlin?"),
        ("Wie lösche ich meine Rechnung?", "Wie lösche ich meine Rechnungen?"),
        ("Kann mein Vermieter mir kündigen?", "Kann ich meinem Vermieter kündigen?"),
        ("Ist Python schneller als Java?", "Ist Java schneller als Python?"),
        ("¿Cómo activo las notificaciones?", "¿Cómo desactivo las notificaciones?"),
        ("¿Puedo pagar con tarjeta?", "¿Puedo pagar sin tarjeta?"),
        ("Quel est le prix avec livraison ?", "Quel est le prix sans livraison ?"),
        ("Quand est-ce que vous ouvrez ?", "Quand est-ce que vous fermez ?"),
    ],
)
def test_near_questions_are_two(a: str, b: str) -> None:
    assert not same(a, b)


def test_a_text_of_no_language_that_is_known_is_compared_letter_by_letter() -> None:
    assert not same("Как сменить пароль?", "Как поменять пароль?")
    assert same("Как сменить пароль?", "как сменить пароль")
