"""Routing: leaves every model as asked, until pools or rules say which cheaper one may do."""
