"""Made-up texts as agents get them from tools: JSON, rows, logs, traces, tool schemas, prose, code; seeded.

The shapes are those of common tools (REST answers, database rows, service and access logs in eight formats, traces of
Python, Java and Node, schemas as pydantic writes them and as people do). Code is that of Python's library.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

SEED = 20261122
LIBRARY = "/srv/app/lib/python3.11/site-packages"
FIRST = """
    Alice Bruno Chidi Dana Elif Farid Greta Hiro Ines Jonas Katja Luca Mira Nadia Omar Pia Quinn Rosa Sven Tara
""".split()  # noqa: SIM905
LAST = """
    Abbott Bauer Castro Dubois Eriksen Fischer Garcia Haddad Ivanova Jensen Kowalski Lindqvist Moreau Novak
""".split()  # noqa: SIM905
CITIES = """
    Berlin Lagos Lima Osaka Porto Quito Riga Seoul Turin Utrecht Vienna Warsaw Zurich Accra Bergen
""".split()  # noqa: SIM905
NOUNS = """
    invoice order shipment ticket account device sensor report policy contract session payment refund asset
""".split()  # noqa: SIM905
STATES = """
    active pending closed failed archived queued shipped
""".split()  # noqa: SIM905
VERBS = """
    processed loaded refreshed rejected queued resolved retried scheduled validated updated
""".split()  # noqa: SIM905
MODULES = """
    billing.api auth.tokens search.index mail.outbox jobs.runner cache.layer db.pool web.router
""".split()  # noqa: SIM905
THINGS = """
    connection request message job document record batch token lease transaction
""".split()  # noqa: SIM905
WORDS = """
    the system keeps a record of every change so that people can see what happened and why it was done before they
    decide whether an older version should come back or a new one has to be written by somebody who knows the field
""".split()  # noqa: SIM905


class Maker:
    """Makes texts, each from the one before: the same on every machine."""

    def __init__(self, seed: int = SEED) -> None:
        self.random = Random(seed)
        self._at = 1_760_000_000.0

    # --- values

    def word(self, of: list[str]) -> str:
        return self.random.choice(of)

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def hexadecimal(self, length: int) -> str:
        return "".join(self.random.choices("0123456789abcdef", k=length))

    def person(self) -> str:
        return f"{self.word(FIRST)} {self.word(LAST)}"

    def sentence(self, low: int = 6, high: int = 18) -> str:
        words = self.random.choices(WORDS, k=self.number(low, high))
        return " ".join(words).capitalize() + "."

    def moment(self) -> tuple[str, str, float]:
        """Date, time with milliseconds, seconds: a little later each time."""
        self._at += self.random.expovariate(2.0)
        seconds = int(self._at)
        day, clock = divmod(seconds, 86_400)
        time = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}.{int(self._at % 1 * 1000):03}"
        return f"2026-{day % 12 + 1:02}-{day % 28 + 1:02}", time, self._at

    # --- JSON

    def record(self, depth: int = 0) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": self.number(1000, 999_999),
            "uuid": f"{self.hexadecimal(8)}-{self.hexadecimal(4)}-{self.hexadecimal(12)}",
            "type": self.word(NOUNS),
            "status": self.word(STATES),
            "owner": {"name": self.person(), "city": self.word(CITIES)},
            "created_at": f"{self.moment()[0]}T{self.moment()[1]}Z",
            "amount": round(self.random.uniform(1, 9000), 2),
            "tags": self.random.sample(NOUNS, k=self.number(0, 3)),
            "notes": self.sentence(),
            "parent": None,
            "enabled": self.random.random() < 0.5,
        }
        if depth < 2 and self.random.random() < 0.6:
            made["children"] = [self.record(depth + 1) for _ in range(self.number(1, 2))]
        return made

    def nested(self) -> str:
        """A REST answer with records in records."""
        whole = {
            "object": "list",
            "has_more": True,
            "data": [self.record() for _ in range(self.number(2, 6))],
            "meta": {"request_id": self.hexadecimal(16), "page": self.number(1, 9), "links": {"next": None}},
        }
        return json.dumps(whole, indent=self.random.choice([2, 2, 4]))

    def rows(self, count: int | None = None) -> list[dict[str, Any]]:
        names = ["id", "name", "city", "status", "amount", "created", "active", "kind", "email", "count"]
        chosen = names[: self.number(4, len(names))]
        makers: dict[str, Callable[[], Any]] = {
            "id": lambda: self.number(1, 99_999),
            "name": self.person,
            "city": lambda: self.word(CITIES),
            "status": lambda: self.word(STATES),
            "amount": lambda: round(self.random.uniform(1, 900), 2),
            "created": lambda: self.moment()[0],
            "active": lambda: self.random.random() < 0.5,
            "kind": lambda: self.word(NOUNS),
            "email": lambda: f"{self.word(FIRST).lower()}@example.org",
            "count": lambda: self.random.choice([None, self.number(0, 50)]),
        }
        return [{name: makers[name]() for name in chosen} for _ in range(count or self.number(8, 80))]

    def flat(self) -> str:
        """Rows of a table, as a query tool gives them."""
        return json.dumps(self.rows(), indent=2)

    def enveloped(self) -> str:
        rows = self.rows()
        whole = {"rowCount": len(rows), "columns": list(rows[0]), "rows": rows, "took_ms": self.number(1, 900)}
        return json.dumps(whole, indent=2)

    def json_lines(self) -> str:
        return "\n".join(json.dumps(row) for row in self.rows())

    # --- logs

    def log(self) -> str:
        lines: list[str] = []
        form = self.random.choice(LOG_FORMS)
        for _ in range(self.number(60, 250)):
            lines.append(form(self))
            if self.random.random() < 0.02 and form in (python_line, java_line):
                lines += self.python_trace() if form is python_line else self.java_trace()
        return "\n".join(lines)

    def event(self) -> str:
        return self.random.choice(EVENTS)(self)

    def python_trace(self) -> list[str]:
        lines = ["Traceback (most recent call last):"]
        for depth in range(self.random.choice([3, 6])):
            module = MODULES[depth].replace(".", "/")
            lines += [
                f'  File "{LIBRARY}/{module}.py", line {40 + 7 * depth}, in {VERBS[depth]}',
                f"    return self.{VERBS[depth + 1]}({THINGS[depth]}, timeout=timeout)",
            ]
        return [*lines, self.random.choice(["TimeoutError: the pool has no free connection", "KeyError: 'account_id'"])]

    def java_trace(self) -> list[str]:
        lines = ["java.lang.IllegalStateException: lease is gone"]
        for n in range(self.random.choice([8, 14])):
            name = THINGS[n % 10].title()
            lines.append(f"\tat org.example.{MODULES[n % 8]}.{name}.{VERBS[n % 10]}({name}.java:{31 + 11 * n})")
        return lines

    def traces(self) -> str:
        """What an error tracker gives: some traces, some of them more than once."""
        lines: list[str] = []
        for _ in range(self.number(3, 8)):
            date, time, _ = self.moment()
            lines += [f"{date} {time} ERROR worker-{self.number(1, 6)} unhandled error in {self.word(MODULES)}"]
            lines += self.python_trace() if self.random.random() < 0.6 else self.java_trace()
        return "\n".join(lines)

    # --- schemas

    def field(self) -> tuple[Any, Any]:
        """The type of an argument and what is said of it, as pydantic takes them."""
        kind: Any = self.random.choice([str, str, int, float, bool, list[str], Literal["asc", "desc"]])
        said: dict[str, Any] = {"description": self.sentence(3, 12)} if self.random.random() < 0.7 else {}
        chance = self.random.random()
        if chance < 0.4:
            return kind | None, Field(default=None, **said)
        if chance < 0.55 and kind is int:
            return kind, Field(default=self.number(1, 100), **said)
        if chance < 0.7:
            return kind, Field(examples=[self.word(NOUNS), self.word(CITIES)], **said)
        return kind, Field(**said)

    def model(self, name: str, depth: int = 0) -> type[BaseModel]:
        fields: dict[str, Any] = {
            f"{self.word(NOUNS)}_{self.random.choice(['id', 'name', 'kind', 'limit'])}": self.field()
            for _ in range(self.number(2, 8))
        }
        if depth < 1 and self.random.random() < 0.4:
            fields["filter"] = (self.model("Filter", depth + 1), ...)
        return create_model(name, **fields)

    def tools(self) -> list[dict[str, Any]]:
        """As pydantic writes the schemas, and docstrings the descriptions."""
        found = []
        for _ in range(self.number(3, 12)):
            name = f"{self.random.choice(['get', 'list', 'create', 'update'])}_{self.word(NOUNS)}"
            schema = self.model(f"{name.title().replace('_', '')}Arguments").model_json_schema()
            description = f"{self.sentence()}\n\n    {self.sentence()}\n    {self.sentence()}"
            function = {"name": name, "description": description, "parameters": schema}
            found.append({"type": "function", "function": function})
        return found

    # --- prose and code

    def paragraph(self) -> str:
        return " ".join(self.sentence() for _ in range(self.number(2, 6)))

    def prose(self) -> str:
        """A page with headings, lists, a table and a fenced example."""
        parts = [
            f"# {self.word(NOUNS).title()}s",
            "",
            self.paragraph(),
            "",
            "",
            "",
            f"## {self.word(VERBS).title()}",
            "",
        ]
        for _ in range(self.number(2, 6)):
            parts += [
                self.paragraph() + self.random.choice(["", "  "]),
                "",
                *["- " + self.sentence() for _ in range(3)],
                "",
            ]
        parts += ["| name      | city      | n    |", "|-----------|-----------|------|"]
        parts += [f"| {self.word(FIRST):<9} | {self.word(CITIES):<9} | {self.number(1, 999):<4} |" for _ in range(5)]
        parts += [
            "",
            "```python",
            "value  =  1",
            "",
            "",
            "",
            "if value:   # kept",
            "    run( value )",
            "```",
            "",
            "",
            "Back to top",
        ]
        return "\n".join(parts)

    def code(self) -> str:
        name = self.random.choice(["textwrap", "shlex", "heapq", "bisect", "fnmatch", "colorsys", "cmd", "quopri"])
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        lines = Path(found.origin).read_text(encoding="utf-8").split("\n")
        start = self.number(0, max(0, len(lines) - 60))
        return "\n".join(lines[start : start + 60])


def python_line(make: Maker) -> str:
    date, time, _ = make.moment()
    level = make.random.choices(["INFO", "DEBUG", "WARNING", "ERROR"], [70, 15, 10, 5])[0]
    return f"{date} {time.replace('.', ',')} {level} [{make.word(MODULES)}] {make.event()}"


def java_line(make: Maker) -> str:
    date, time, _ = make.moment()
    level = make.random.choices(["INFO ", "DEBUG", "WARN "], [80, 15, 5])[0]
    thread, where = f"nio-8080-exec-{make.number(1, 20)}", f"org.example.{make.word(MODULES)}"
    return f"{date} {time} {level} {make.number(1, 9)} --- [{thread}] {where} : {make.event()}"


def access_line(make: Maker) -> str:
    _, time, _ = make.moment()
    path = make.random.choice(
        ["/api/v1/orders/{}", "/api/v1/users/{}/profile", "/health", "/static/app.js", "/search?q={}"]
    )
    agent = make.random.choice(
        ["Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0", "curl/8.5.0", "kube-probe/1.30"]
    )
    who, asked = f"10.2.{make.number(0, 3)}.{make.number(2, 250)}", path.format(make.number(1, 9999))
    status = make.random.choice([200, 200, 200, 304, 404])
    length = make.number(80, 90_000)
    return f'{who} - - [22/Nov/2026:{time[:8]} +0000] "GET {asked} HTTP/1.1" {status} {length} "-" "{agent}"'


def syslog_line(make: Maker) -> str:
    _, time, _ = make.moment()
    service = make.random.choice(["sshd[812]", "systemd[1]", "kernel", "cron[4411]", "dhclient[701]"])
    return f"Nov 22 {time[:8]} host-{make.number(1, 3)} {service}: {make.event()}"


def logfmt_line(make: Maker) -> str:
    date, time, _ = make.moment()
    return (
        f'ts={date}T{time}Z level=info caller=server.go:{make.number(40, 60)} msg="request done" method=GET '
        f"path=/api/{make.word(NOUNS)}s status=200 duration={make.number(1, 900)}ms request_id={make.hexadecimal(12)}"
    )


def kube_line(make: Maker) -> str:
    _, time, _ = make.moment()
    return f"I1122 {time}000       1 controller.go:{make.number(100, 130)}] {make.event()}"


def bracket_line(make: Maker) -> str:
    date, time, _ = make.moment()
    return f"[{date}T{time}+00:00] [{make.word(STATES)}] job {make.hexadecimal(8)}: {make.event()}"


def level_line(make: Maker) -> str:
    return f"{make.random.choice(['INFO', 'INFO', 'WARN'])}: {make.event()}"


LOG_FORMS = (python_line, java_line, access_line, syslog_line, logfmt_line, kube_line, bracket_line, level_line)
EVENTS: tuple[Callable[[Maker], str], ...] = (
    lambda m: (
        f"Processed {m.word(NOUNS)} {m.number(1000, 99_999)} for tenant {m.number(1, 40)} in {m.number(1, 900)} ms"
    ),
    lambda m: (
        f"Connection from 10.0.{m.number(0, 9)}.{m.number(1, 250)} port {m.number(1024, 65_000)} accepted"
        f" for user {m.word(FIRST).lower()}"
    ),
    lambda m: (
        f"Retrying request id={m.hexadecimal(12)} attempt {m.number(1, 5)} of 5 after timeout of {m.number(1, 30)}s"
    ),
    lambda m: f"Cache miss for key user:{m.number(1, 9999)}:profile, loading from the database",
    lambda m: (
        f"Worker {m.number(1, 16)} took job {m.hexadecimal(8)} from queue {m.word(NOUNS)}s, {m.number(0, 300)} left"
    ),
    lambda m: (
        f"Scheduled task {m.word(VERBS)}-{m.word(NOUNS)}s finished: {m.number(0, 900)} ok, {m.number(0, 9)} failed"
    ),
    lambda m: "Health check passed",
)
KINDS: Mapping[str, Callable[[Maker], str]] = MappingProxyType(
    {
        "JSON, nested": Maker.nested,
        "JSON, flat rows": Maker.flat,
        "JSON, rows in an envelope": Maker.enveloped,
        "JSON lines": Maker.json_lines,
        "logs": Maker.log,
        "stack traces": Maker.traces,
        "tool schemas": lambda make: json.dumps(make.tools(), separators=(",", ":")),
        "prose": Maker.prose,
        "code": Maker.code,
    }
)


def texts(kind: str, count: int, seed: int = SEED) -> Iterator[str]:
    """So many of a kind."""
    make = Maker(seed)
    for _ in range(count):
        yield KINDS[kind](make)
