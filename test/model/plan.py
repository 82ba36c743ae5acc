"""What a seed makes: domains with hosts and their troubles, people with keys, ladders, messages, and what befalls the gateway.

All of it is drawn here, so that the same seed means the same world. Times are seconds from the first message on."""
import dataclasses
import random

LEVELS = ["plain", "tls:encrypted", "tls:verified", "tls:authenticated", "tls:dane"]
SEALED = ["smime", "pgp", "portal"]
SHOWN = {"good": 0.35, "none": 0.1, "stranger": 0.1, "wrong": 0.05, "mixed": 0.4}  # what a host shows of TLS
MIXED = ["good", "good", "none", "stranger", "wrong", "breaks", "breaks"]


@dataclasses.dataclass
class Pace:
    """
    seconds: within which hosts become well
    expires: of ladders; own: of reports and notices
    hangs:   whether hosts fall silent; then what is well must be quick: a machine that stands still for long looks like them
    """
    seconds: float = 6.0
    expires: tuple = (4.0, 8.0, 12.0)
    own: float = 8.0
    hangs: bool = True


STEADY = Pace(3.0, (2.0, 4.0, 6.0), 5.0, False)
FOR_NOW = ["421 4.3.2 closing", "421 4.7.0 slow down", "421 busy", "450 4.2.0 not now", "450 4.2.1 mailbox is off",
           "451 4.3.0 trouble", "451 4.7.1 grey", "451 later", "451 4.4.1 no way", "452 4.3.1 no room", "452 4.2.2 full",
           "452 4.5.3 too many", "454 4.7.0 no tls now", "450 4.7.25 who are you"]
FOR_GOOD = ["550 5.1.1 nobody", "554 5.7.1 no", "552 5.2.2 full", "550 5.7.26 not you", "530 5.7.0 tls first", "554 5.3.0 broken",
            "500 what", "550 no"]
BRIEF = "4.2.2"
STAGES = ["connect", "greeting", "ehlo", "starttls", "handshake", "mail", "rcpt", "data", "body", "dot"]
SILENT = ["connect", "body", "handshake"]  # stages at which nothing is said, only closed


@dataclasses.dataclass
class Trouble:
    """what: "close", "lost" (behind the dot, having taken it), "hang" (silence), or a reply."""
    stage: str
    what: str

    def is_final(self):
        return self.what[:1] == "5"

    def is_hosts_own(self):
        """Whether another host may well take what this one puts off: it hangs up, or speaks of its system or network."""
        code, _, status = self.what.partition(" ")
        if STAGES.index(self.stage) < STAGES.index("mail") or not code.isdigit():
            return True
        return status[:4] in ("4.3.", "4.4.") or self.stage != "rcpt" and not status[:1].isdigit()


@dataclasses.dataclass
class Host:
    """
    shown:     a key of SHOWN; of "mixed" each connection shows something of MIXED, until it is well
    troubles:  of which each connection has one, or none, by rate
    deaf:      it does not listen until it is well
    well_from: when all this ends; None: never
    elsewhere: another address of the name, where nobody listens
    hasty:     closes a connection on which nothing is said for a moment
    spells:    [(from, until)] in which it has its troubles, where it is well between them
    six:       an IPv6 address of the name; on "::1" it listens, too
    only_six:  its name has no other, but for elsewhere
    utf8:      takes addresses that are not ASCII (RFC 6531)
    slow:      seconds before it answers a command of a transaction, at most
    sts:       what its domain's MTA-STS policy says of it: "kept" it is named, "unlisted" it is not, "maybe" that changes
    """
    name: str
    address: str
    shown: str = "good"
    tlsa: bool = False
    pinned: bool = False
    rate: float = 0.0
    troubles: list = dataclasses.field(default_factory=list)
    deaf: bool = False
    well_from: float | None = 0.0
    eight_bit: bool = True
    requiretls: bool = False
    elsewhere: str | None = None
    hasty: bool = False
    spells: list = dataclasses.field(default_factory=list)
    six: str | None = None
    only_six: bool = False
    utf8: bool = True
    slow: float = 0.0
    sts: str = ""

    def is_well(self):
        """always, and proves all it can"""
        return self.shown == "good" and self.eight_bit and self.utf8 and self.sts in ("", "kept") and not (
            self.troubles or self.deaf or self.hasty)

    def addresses(self):
        return [*[self.address] * (not self.only_six), *[self.six] * (self.six == "::1")]

    def level(self, shown, lifted=False):
        """What a connection is worth on which it showed this; "broken": nothing may go there. lifted: TLS-Required: No."""
        if self.tlsa and not (lifted and shown != "good"):
            return "tls:dane" if shown == "good" else "broken"
        if not lifted and (self.sts == "unlisted" or self.sts == "kept" and shown != "good"):
            return "broken"
        if shown == "none":
            return "plain"
        if shown == "good":
            return "tls:authenticated" if self.pinned or self.sts else "tls:verified"
        return "tls:encrypted"

    def best(self):
        return self.level("good" if self.shown == "mixed" else self.shown)


@dataclasses.dataclass
class Domain:
    """
    hosts: [(preference, Host)]
    later: (when, those that DNS names from then on)
    dns:   (when it ends or None, kind, how)
    sts:   [(when, the text of its MTA-STS policy, or None: nobody answers for it any more)]
    """
    name: str
    mode: str
    hosts: list
    later: tuple | None = None
    dns: tuple | None = None
    sts: list = dataclasses.field(default_factory=list)

    def is_steady(self):
        return self.later is None and self.dns is None and all(text is not None for _, text in self.sts)

    def well_host(self):
        """One that would take mail all the time, or None. Of those that are bad in turns all may rest at once."""
        return next((h for h in self.all_hosts() if h.is_well()), None)

    def all_hosts(self):
        return [h for _, h in self.hosts] + ([h for _, h in self.later[1]] if self.later else [])


@dataclasses.dataclass
class Ladder:
    """rungs: [(name, stay.unreachable or None, stay.dropped)]"""
    name: str
    rungs: list
    floor: str
    expire: float
    at_end: str = "return"

    def names(self):
        return [r[0] for r in self.rungs]

    def allows(self, rung):
        """Whether mail may go so by this ladder and its floor."""
        return rung in self.names() and (rung in SEALED or self.floor in LEVELS
                                         and LEVELS.index(rung) >= LEVELS.index(self.floor))

    def allows_clear(self, level):
        """Whether clear text may go over a connection of this level."""
        return level != "broken" and any(self.allows(r) and LEVELS.index(r) <= LEVELS.index(level)
                                         for r in self.names() if r in LEVELS)

    def document(self):
        def rung(name, unreachable, dropped):
            stay = {"dropped": ms(dropped)} if name.startswith("tls:") else {}
            if unreachable is not None and name != "portal":
                stay["unreachable"] = ms(unreachable)
            return {"rung": name, "stay": stay} if stay else name
        return {"rungs": [rung(*r) for r in self.rungs], "floor": self.floor, "at_end": self.at_end}


@dataclasses.dataclass
class Person:
    """
    keys:  of "smime", "pgp"
    gone:  (from, until or None) while the keeper has none of them
    spare: to whom his mail may be redirected
    """
    address: str
    domain: Domain = dataclasses.field(repr=False)
    ladder: Ladder = dataclasses.field(repr=False)
    keys: tuple = ()
    gone: tuple | None = None
    spare: "Person | None" = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass
class Message:
    """notify: "", "NEVER" or "SUCCESS,FAILURE" (RFC 3461); asks: "", "REQUIRETLS" or "TLS-Required: No" (RFC 8689)"""
    key: str
    at: float
    people: list
    size: int
    eight_bit: bool
    notify: str
    asks: str = ""

    @property
    def utf8(self):
        return not all(p.address.isascii() for p in self.people)

    @property
    def lifted(self):
        return self.asks == "TLS-Required: No"

    @property
    def marker(self):
        return f"marker-{self.key}-end"

    @property
    def message_id(self):
        return f"<{self.key}@tenant.test>"


def ms(seconds):
    return f"{round(seconds * 1000)}ms"


class Plan:
    """
    hosts, domains, ladders, people, messages
    blows: [(when, what, whom)]: "kill" a role, amid what it was asked, "stop" one, and let it "go" on or "end" there, "reload",
           keys of a person "take" away or "give" back
    """

    def __init__(self, seed, domains=50, messages=150, pace=Pace()):
        self.seed, self.pace, self.dice = seed, pace, random.Random(f"model {seed}")
        self.hosts, self.ladders = [], [self.ladder(f"l{n}") for n in range(12)]
        self.home = Host("home.test", "127.1.0.1")
        self.domains = [self.domain(n) for n in range(domains)]
        self.people, self.pgp_left = [], 8
        self.messages = [self.message(n) for n in range(messages)]
        self.recipients_max = self.dice.choice([1, 2, 50])
        self.connections = self.dice.choice([1, 2, 10])
        self.relays = self.dice.choice([1, 2])
        self.throttles = self.dice.choice([0, 0, 2, 3])
        self.orders = 1  # messages that an order is for, at most
        self.notify_floor = self.dice.choice(["plain", "plain", "tls:encrypted"])
        self.settings = self.draw_settings()
        self.blows = self.draw_blows(3)

    def chance(self, share):
        return self.dice.random() < share

    def weighted(self, table):
        return self.dice.choices(list(table), weights=list(table.values()))[0]

    # ---- ladders ----

    def ladder(self, name):
        dice = self.dice
        tls = sorted(dice.sample(LEVELS, dice.randint(1, 4)), key=LEVELS.index, reverse=True)
        sealed = dice.sample(["smime", "pgp"], dice.choice([0, 0, 1, 2, 2]))
        rungs = sealed + tls
        if self.chance(0.4) and sealed and tls:  # a sealed copy where no good connection is had
            rungs = tls[:1] + sealed + tls[1:]
        if self.chance(0.4):
            rungs.insert(len(rungs) if self.chance(0.8) else dice.randint(0, len(rungs)), "portal")
        floors = [f for f in [*LEVELS, "sealed"] if any(
            r in SEALED or f in LEVELS and LEVELS.index(r) >= LEVELS.index(f) for r in rungs)]
        floor = dice.choice(floors)
        rungs = [r for r in rungs if r in SEALED or floor in LEVELS and LEVELS.index(r) >= LEVELS.index(floor)]
        return Ladder(name, [(r, dice.choice([None, None, 0.5, 2.0, 4.0]), dice.choice([0.5, 2.0])) for r in rungs], floor,
                      dice.choice(self.pace.expires), "hold" if self.chance(0.15) else "return")

    # ---- hosts ----

    def trouble(self):
        dice, stage = self.dice, self.dice.choice(STAGES)
        if stage in SILENT:
            return Trouble(stage, "hang" if self.pace.hangs and stage != "body" and self.chance(0.15) else "close")
        if stage == "dot" and self.chance(0.25):
            return Trouble(stage, "lost")
        kind = dice.random()
        if kind < 0.2:
            return Trouble(stage, "close")
        if kind < 0.25 and self.pace.hangs and stage in ("greeting", "mail", "data"):
            return Trouble(stage, "hang")
        return Trouble(stage, dice.choice(FOR_GOOD if kind > 0.9 else FOR_NOW))

    def host(self, mode):
        dice, n = self.dice, len(self.hosts)
        host = Host(f"h{n}.hosts.test", f"127.1.{1 + n // 200}.{1 + n % 200}", shown=self.weighted(SHOWN),
                    tlsa=mode == "dane", pinned=mode in ("pinned", "smarthost"), eight_bit=self.chance(0.9),
                    requiretls=self.chance(0.5), hasty=self.chance(0.3))
        if self.chance(0.2):
            host.elsewhere = host.address.replace("127.1.", "127.2.")
        if host.shown == "mixed" or self.chance(0.65):
            host.well_from = None if self.chance(0.25) else dice.uniform(0.5, self.pace.seconds)
        if host.well_from != 0.0 and self.chance(0.85):
            host.troubles = [self.trouble() for _ in range(dice.randint(1, 3))]
            host.rate = dice.choice([0.3, 0.6, 1.0])
            host.deaf = self.chance(0.15)
        self.hosts.append(host)
        return host

    def domain(self, n):
        dice = self.dice
        mode = dice.choice(["mx"] * 11 + ["dane"] * 4 + ["pinned"] * 2 + ["smarthost"] * 3)
        if self.chance(0.2):  # shares its hosts with another
            others = [d for d in self.domains_so_far() if d.mode == mode == "mx" and d.is_steady()]
            if others:
                return self.keep(Domain(f"d{n}.test", mode, dice.choice(others).hosts))
        domain = Domain(f"d{n}.test", mode, self.some_hosts(mode, dice.choice([1, 1, 2, 2, 2, 3, 4])))
        if mode != "smarthost":
            if self.chance(0.15):
                domain.later = dice.uniform(0.5, self.pace.seconds), self.some_hosts(mode, dice.randint(1, 2)) + (
                    domain.hosts[:1] if self.chance(0.5) else [])
            if self.chance(0.2):
                domain.dns = (None if self.chance(0.2) else dice.uniform(0.5, self.pace.seconds), dice.choice(["MX", "A"]),
                              dice.choice(["fails", "fails", "silent"]))
        return self.keep(domain)

    def domains_so_far(self):
        return self.__dict__.setdefault("made", [])

    def keep(self, domain):
        self.domains_so_far().append(domain)
        return domain

    def some_hosts(self, mode, count):
        return [(self.dice.choice([10, 10, 20, 30]), self.host(mode)) for _ in range(count)]

    # ---- people and messages ----

    def person(self):
        dice, n = self.dice, len(self.people)
        ladder, domain = dice.choice(self.ladders), dice.choice(self.domains)
        keys = ()
        if {"smime", "pgp"} & set(ladder.names()) and self.chance(0.7):
            keys = ("smime",) if self.chance(0.6) else ("smime", "pgp") if self.chance(0.6) else ("pgp",)
        if "pgp" in keys and self.pgp_left == 0:
            keys = ("smime",)
        elif "pgp" in keys:
            self.pgp_left -= 1
        self.people.append(Person(f"{ladder.name}.p{n}@{domain.name}", domain, ladder, keys))
        return self.people[-1]

    def friend(self, person):
        """Another one who shares a transaction, or an attempt, as a rule."""
        n = len(self.people)
        self.people.append(Person(f"{person.ladder.name}.p{n}@{person.domain.name}", person.domain, person.ladder, ()))
        return self.people[-1]

    def message(self, n):
        dice = self.dice
        people = [self.person() for _ in range(dice.choice([1, 1, 1, 2, 3]))]
        if self.chance(0.3):
            people += [self.friend(people[0]) for _ in range(dice.randint(1, 3))]
        if self.people[0].keys and self.chance(0.1):  # somebody who has had mail before
            people.append(dice.choice([p for p in self.people if p.keys]))
        people = list({p.address: p for p in people}.values())
        return Message(f"m{n}.s{self.seed}", dice.uniform(0, self.pace.seconds * 0.7), people,
                       dice.choice([100, 100, 100, 3000, 300000]), self.chance(0.15),
                       dice.choice(["", "", "", "NEVER", "SUCCESS,FAILURE"]),
                       dice.choice([""] * 8 + ["REQUIRETLS", "TLS-Required: No"]))

    def draw_blows(self, count):
        dice, blows = self.dice, []
        for _ in range(dice.randint(0, count)):
            role = dice.choice(["relay", "relay", "sealer", "sealer", "keeper", "keeper", "portal", "ledger"])
            blows.append((dice.uniform(0.2, self.pace.seconds), "kill", role))
        if self.chance(0.3):
            blows.append((dice.uniform(0.2, self.pace.seconds), "reload", ""))
        for _ in range(dice.randint(0, 8)):
            blows.append((dice.uniform(0.2, self.pace.seconds), "order", dice.choice(["hold", "retry", "retry", "freeze"])))
        for person in [p for p in self.people if p.keys]:
            if self.chance(0.25):
                start = dice.uniform(0, self.pace.seconds / 2)
                person.gone = start, (None if self.chance(0.5) else start + dice.uniform(0.5, 3))
                blows.append((start, "take", person))
                if person.gone[1] is not None:
                    blows.append((person.gone[1], "give", person))
        return sorted(blows, key=lambda b: b[0])

    def draw_settings(self):
        """Of the gateway. What meets BRIEF is given up early."""
        settings, retries = {}, []
        if self.chance(0.3):
            settings["delivery.suppress"] = "2s"
        if self.chance(0.3):
            retries.append({"match": BRIEF, "first": "300ms", "expire": "1s"})
        if self.chance(0.3):
            kind = self.dice.choice(["4.3", "451", "hop.unreachable", "421"])
            retries.append({"match": kind, "first": "200ms", "max": "600ms"})
        return {**settings, "delivery.retries": retries} if retries else settings

    def sites(self):
        """The default of sites.json."""
        throttle = [{"reply": 421, "do": "pause", "for": "1s"}, {"status": "4.7.1", "do": "ignore"},
                    {"status": "4.5.3", "do": "slow"}]
        return {"recipients": self.recipients_max, "throttle": throttle[:self.throttles]}

    def is_brief(self, domain):
        """Whether its mail may be given up before its ladder says so."""
        return any(r["match"] == BRIEF for r in self.settings.get("delivery.retries", ())) and any(
            BRIEF in t.what for host in domain.all_hosts() for t in host.troubles)

    def kills(self):
        return [whom for _, what, whom in self.blows if what in ("kill", "end")]

    def policy(self):
        return {"version": 1,
                "settings": {"floor": "plain", "expire": ms(self.pace.expires[-1]),
                             "portal": {"expires": "30d", "login": ["code"], "notify_floor": self.notify_floor}},
                "ladders": {ladder.name: ladder.document() for ladder in self.ladders},
                "rules": [{"rule": ladder.name, "when": {"recipient.address": {"like": f"{ladder.name}.*"}},
                           "then": {"protect": ladder.name, "expire": ms(ladder.expire)}} for ladder in self.ladders],
                "default": {"protect": self.ladders[0].name}}
