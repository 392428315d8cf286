"""Injection: layers behind one verdict; what a text is seen as, rules, a small classifier, actions by position."""
