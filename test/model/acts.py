"""Small worlds in which people act while mail goes: hold, release, recall, redirect, retry; the relay dies at any moment; equal
hosts are in trouble in turns; names have addresses of both families; some recipients are not ASCII; hosts take their time."""
from model.corners import OWN, Corners
from model.plan import Domain, Person, Trouble


class Acts(Corners):
    """The domains are of each kind in turn. One host of a world has IPv6: there is one such address on each machine."""

    def __init__(self, seed, domains=10, messages=100, **how):
        self.six_left = 1
        super().__init__(seed, domains, messages, **how)
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

    def kind_slow(self, mode):
        return [self.add_host(mode, slow=0.8, troubles=self.puts_off(), rate=0.3, well_from=self.while_bad())]

    def domain(self, n):
        kinds = [self.kind_turns, self.kind_slow, self.kind_families, self.kind_ascii, self.kind_changes_and_puts_off]
        kind = kinds[n % len(kinds)]
        mode = self.dice.choice(["smarthost", "smarthost", "mx", "dane"] if kind == self.kind_turns else ["mx", "mx", "dane"])
        equal = kind == self.kind_turns
        return self.keep(Domain(f"d{n}.test", mode, [(10 if equal else 10 * (i + 1), h) for i, h in enumerate(kind(mode))]))

    # ---- people and messages ----

    def person(self):
        person = super().person()
        if not person.keys and self.chance(0.15):
            person.address = person.address.replace(".p", ".pé")
        if self.chance(0.4):
            n, domain = len(self.people), self.dice.choice(self.domains)
            person.spare = Person(f"{person.ladder.name}.p{n}@{domain.name}", domain, person.ladder)
            self.people.append(person.spare)
        return person

    # ---- what befalls ----

    def draw_blows(self, count):
        blows = [(self.dice.uniform(0.2, self.pace.seconds), "end", "relay") for _ in range(self.dice.randint(0, 3))]
        for _ in range(30):
            kind = self.dice.choice(["hold", "release", "release", "recall", "redirect", "redirect", "retry"])
            blows.append((self.dice.uniform(0.2, self.pace.seconds), "order", kind))
        return sorted(blows, key=lambda b: b[0])
