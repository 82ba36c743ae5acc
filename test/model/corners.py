"""Small worlds round what is rare in a wide one: hosts of one domain that put mail off in turn, show something else on each
connection and close it meanwhile, fail a handshake while a sibling is well, and a keeper that stands still or dies meanwhile."""
from model.plan import Domain, Host, Ladder, Message, Pace, Person, Plan, Trouble

HARSH = Pace(6.0, (8.0, 12.0), 8.0, False)
OWN = ["421 4.3.2 closing", "451 4.3.0 trouble", "451 4.4.1 no way", "452 4.3.1 no room", "451 later"]  # another host may take it
OTHERS = ["450 4.2.1 mailbox is off", "451 4.7.1 grey", "452 4.2.2 full"]  # of no host's own
HIGH = ["tls:dane", "tls:authenticated", "tls:verified"]
LOW = ["tls:encrypted", "plain"]


class Corners(Plan):
    """The domains are of each kind in turn; any ladder may meet any of them."""

    def __init__(self, seed, domains=10, messages=120, pace=HARSH):
        super().__init__(seed, domains, messages, pace)
        self.relays, self.throttles, self.recipients_max = 1, 0, self.dice.choice([1, 50])

    # ---- ladders ----

    def ladder(self, name):
        """A sealed copy between levels of TLS, or levels with nothing between; nearly all stays are long."""
        dice = self.dice
        rungs = [dice.choice(HIGH)] * self.chance(0.8) + dice.sample(["smime", "pgp"], dice.choice([0, 1, 1, 2]))
        rungs += dice.choice([LOW, LOW[:1], LOW[1:], LOW[1:]])
        floor = dice.choice([rungs[-1], "plain"])
        return Ladder(name, [(r, dice.choice([None, None, 0.5 if r in HIGH else 4.0]), 0.5) for r in rungs], floor,
                      dice.choice(self.pace.expires))

    # ---- hosts ----

    def puts_off(self, own=0.7):
        return [Trouble(stage, self.dice.choice(OWN if self.chance(own) else OTHERS))
                for stage in self.dice.sample(["mail", "rcpt", "data", "dot"], 2)]

    def add_host(self, mode="mx", **what):
        n = len(self.hosts)
        self.hosts.append(Host(f"h{n}.hosts.test", f"127.1.{1 + n // 200}.{1 + n % 200}", tlsa=mode == "dane",
                               pinned=mode in ("pinned", "smarthost"), **what))
        return self.hosts[-1]

    def while_bad(self):
        return self.dice.uniform(self.pace.seconds * 0.6, self.pace.seconds)

    def kind_puts_off(self, mode):
        return [self.add_host(mode, troubles=self.puts_off(), rate=0.5, well_from=self.while_bad())
                for _ in range(self.dice.choice([1, 2, 3]))]

    def kind_changes(self, mode):
        return [self.add_host(mode, shown="mixed", hasty=True, well_from=self.while_bad())
                for _ in range(self.dice.choice([1, 2]))]

    def kind_changes_and_puts_off(self, mode):
        return [self.add_host(mode, shown="mixed", hasty=self.chance(0.5), troubles=self.puts_off(), rate=0.3,
                              well_from=self.while_bad()) for _ in range(self.dice.choice([2, 3]))]

    def kind_breaks(self, mode):
        """The first never gets TLS to work and puts mail off; the second is well, or takes a while to be so."""
        first = self.add_host(mode, shown="breaks", troubles=self.puts_off(1.0), rate=0.6, well_from=self.while_bad())
        slow = {"troubles": [Trouble("greeting", "421 4.3.2 closing")], "rate": 0.4, "well_from": self.while_bad()}
        return [first, self.add_host(mode, **(slow if self.chance(0.5) else {}))]

    def kind_well(self, mode):
        return [self.add_host(mode)]

    def domain(self, n):
        kinds = [self.kind_puts_off, self.kind_changes, self.kind_changes_and_puts_off, self.kind_breaks, self.kind_well]
        mode = self.dice.choice(["mx", "mx", "mx", "smarthost", "dane"] if n % len(kinds) != 3 else ["mx", "mx", "smarthost"])
        hosts = kinds[n % len(kinds)](mode)
        return self.keep(Domain(f"d{n}.test", mode, [(self.dice.choice([10, 10 * (i + 1)]), h) for i, h in enumerate(hosts)]))

    # ---- people and messages ----

    def person(self):
        dice, n = self.dice, len(self.people)
        ladder, domain = dice.choice(self.ladders), dice.choice(self.domains)
        keys = ()
        if {"smime", "pgp"} & set(ladder.names()) and self.chance(0.6):
            keys = ("smime", "pgp") if self.pgp_left > 0 and self.chance(0.3) else ("smime",)
            self.pgp_left -= "pgp" in keys
        self.people.append(Person(f"{ladder.name}.p{n}@{domain.name}", domain, ladder, keys))
        return self.people[-1]

    def message(self, n):
        people = [self.person()]
        people += [self.friend(people[0]) for _ in range(self.dice.choice([0, 0, 0, 1]))]
        return Message(f"m{n}.s{self.seed}", self.dice.uniform(0, self.pace.seconds * 0.7), people, 100, False,
                       self.dice.choice(["", "", "NEVER"]))

    # ---- what befalls ----

    def draw_settings(self):
        return {}

    def draw_blows(self, count):
        """Processes that stand still for a moment while mail comes in, and go on, or die."""
        blows, at = [], 0.2
        while at < self.pace.seconds:
            role, last = self.dice.choice(["keeper", "keeper", "keeper", "sealer"]), self.dice.uniform(0.1, 0.5)
            dies = self.chance(0.3) and sum(b[1] == "end" for b in blows) < count
            blows += [(at, "stop", role), (at + last, "end" if dies else "go", role)]
            at += last + self.dice.uniform(0.1, 0.5)
        return blows
