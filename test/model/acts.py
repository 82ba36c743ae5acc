"""Small worlds in which people act while mail goes: hold, release, recall, redirect, retry; the relay dies at any moment; equal
hosts are in trouble in turns; names have addresses of both families; some recipients are not ASCII; hosts take their time."""
from model.corners import OWN, Corners
from model.plan import Domain, Person, Plan, Trouble


class Acting:
    """What both kinds of these worlds have."""

    def policies(self, hosts):
        """returns: what stands in Domain.sts"""
        def text(mode, named):
            return "".join(f"{line}\r\n" for line in ("version: STSv1", f"mode: {mode}", *(f"mx: {h.name}" for h in named),
                                                      "max_age: 86400")).encode()
        dice, named = self.dice, [h for h in hosts if h.sts == "kept"]
        stands, when = text("enforce", named), dice.uniform(1, self.pace.seconds)
        kind = dice.choice(["stands", "stands", "goes", "goes", "other", "testing"])
        if kind in ("other", "testing"):
            for host in hosts:
                host.sts = "maybe"
        return {"stands": [(0, stands)], "goes": [(0, stands), (when, None)], "testing": [(0, text("testing", named))],
                "other": [(0, stands), (when, text(dice.choice(["none", "testing", "enforce"]), hosts[:1]))]}[kind]

    def or_another(self, person):
        """A person, some of whom are not ASCII; another one may get the mail of some."""
        if not person.keys and self.chance(0.15):
            person.address = person.address.replace(".p", ".pé")
        if self.chance(0.4):
            n, domain = len(self.people), self.dice.choice(self.domains)
            person.spare = Person(f"{person.ladder.name}.p{n}@{domain.name}", domain, person.ladder)
            self.people.append(person.spare)
        return person

    def acts(self, count):
        blows = [(self.dice.uniform(0.2, self.pace.seconds), "end", "relay") for _ in range(self.dice.randint(0, 3))]
        for _ in range(count):
            kind = self.dice.choice(["hold", "release", "release", "recall", "redirect", "redirect", "retry"])
            blows.append((self.dice.uniform(0.2, self.pace.seconds), "order", kind))
        return blows


class Acts(Acting, Corners):
    """The domains are of each kind in turn. One host of a world has IPv6: there is one such address on each machine."""

    def __init__(self, seed, domains=14, messages=100, **how):
        self.six_left = 1
        super().__init__(seed, domains, messages, **how)
        self.orders = 3
        self.relays = self.dice.choice([1, 1, 2])

    # ---- hosts ----

    def kind_turns(self, mode):
        """Of equal hosts one is always well: each has its trouble in its turn."""
        count, length = self.dice.choice([2, 2, 3]), self.dice.uniform(0.6, 2.0)
        hosts = [self.add_host(mode, troubles=self.in_turns(), rate=1.0) for _ in range(count)]
        for turn in range(round(60 / length)):
            hosts[turn % count].spells.append((turn * length, (turn + 1) * length))
        return hosts

    def in_turns(self):
        stage = self.dice.choice(["greeting", "mail", "data", "dot"])
        return [Trouble("connect", "close"), Trouble(stage, self.dice.choice(OWN)),
                Trouble(self.dice.choice(["greeting", "ehlo", "mail", "body"]), "close")]

    def kind_families(self, mode):
        if mode == "smarthost" or self.six_left == 0:
            return [self.add_host(mode, six="2001:db8::25")]
        self.six_left = 0
        host = self.add_host(mode, six="::1", only_six=self.chance(0.6))
        if host.only_six and self.chance(0.5):
            host.elsewhere = host.address
        return [host]

    def kind_ascii(self, mode):
        """The first takes ASCII alone."""
        return [self.add_host(mode, utf8=False, slow=0.2), *[self.add_host(mode)] * self.chance(0.7)]

    def kind_promises(self, mode):
        """Its policy (MTA-STS) names the host that is well at last; it stands, goes, or is another one later."""
        shown = self.dice.choice(["mixed", "mixed", "stranger", "none", "good"])
        first = self.add_host(mode, shown=shown, well_from=self.while_bad())
        if first.shown in ("stranger", "none"):
            first.well_from = None
        hosts = [first, *[self.add_host(mode)] * (first.well_from is None or self.chance(0.3))]
        if self.chance(0.3):
            hosts.insert(0, self.add_host(mode, sts="unlisted"))
        for host in hosts:
            host.sts = host.sts or "kept"
        return hosts

    def kind_full(self, mode):
        """The first never takes any mail; the other one always does."""
        stage = self.dice.choice(["greeting", "mail", "data", "dot"])
        full = self.add_host(mode, troubles=[Trouble(stage, self.dice.choice(OWN))], rate=1.0, well_from=None)
        return [full, self.add_host(mode)]

    def kind_slow(self, mode):
        return [self.add_host(mode, slow=0.8, troubles=self.puts_off(), rate=0.3, well_from=self.while_bad())]

    def domain(self, n):
        kinds = [self.kind_turns, self.kind_slow, self.kind_families, self.kind_ascii, self.kind_changes_and_puts_off,
                 self.kind_promises, self.kind_full]
        kind = kinds[n % len(kinds)]
        if kind == self.kind_promises:
            hosts = kind("mx")
            return self.keep(Domain(f"d{n}.test", "sts", [(10 * (i + 1), h) for i, h in enumerate(hosts)],
                                    sts=self.policies(hosts)))
        mode = self.dice.choice(["smarthost", "smarthost", "mx", "dane"] if kind == self.kind_turns else ["mx", "mx", "dane"])
        equal = kind == self.kind_turns
        return self.keep(Domain(f"d{n}.test", mode, [(10 if equal else 10 * (i + 1), h) for i, h in enumerate(kind(mode))]))

    # ---- people and messages ----

    def person(self):
        return self.or_another(super().person())

    # ---- what befalls ----

    def draw_blows(self, count):
        return sorted(self.acts(30), key=lambda b: b[0])


class Crowded(Acting, Plan):
    """A wide world with such people in it."""

    def __init__(self, seed, **how):
        super().__init__(seed, **how)
        self.orders = 2

    def host(self, mode):
        host = super().host(mode)
        host.slow, host.utf8 = self.dice.choice([0, 0, 0, 0.4]), self.chance(0.85)
        if mode != "smarthost" and self.chance(0.15):
            host.six = "2001:db8::25"
        return host

    def domain(self, n):
        if self.chance(0.9):
            return super().domain(n)
        hosts = [self.host("mx") for _ in range(self.dice.choice([1, 2, 3]))]
        for host in hosts:
            host.sts = "kept" if host is hosts[0] or self.chance(0.7) else "unlisted"
        return self.keep(Domain(f"d{n}.test", "sts", [(self.dice.choice([10, 20]), h) for h in hosts], sts=self.policies(hosts)))

    def person(self):
        return self.or_another(super().person())

    def draw_blows(self, count):
        return sorted(super().draw_blows(count) + self.acts(20), key=lambda b: b[0])
