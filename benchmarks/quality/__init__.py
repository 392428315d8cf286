"""How well the guards judge: injection and personal data, on labelled texts, beside what others find."""
