"""What must hold when a plan has been played. Judged from what the hosts saw; the audit is compared with that, not believed.
Each check yields complaints."""
import base64
import collections
import dataclasses
import datetime
import json
import re

from model.plan import LEVELS

TOLD = re.compile(rb"^Final-Recipient: (?:rfc822|utf-8); (\S+)\r?\nAction: (\w+)\r?$", re.M)
ORIGINAL = re.compile(rb"^Message-ID: <([\w.-]+)@tenant\.test>\r?$", re.M | re.I)
HEX = re.compile(r"\\x\{([0-9A-F]+)\}")
FOREVER = float("inf")
SLACK = 0.3  # seconds between a choice and its record
LAG = 0.3
WINDOW = 1.0  # seconds in which nobody is asked often
FINAL = {"delivered", "deposited", "deposited-and-notified", "returned", "failed", "deleted"}


def kind_of(copy):
    """How the bytes came: smime, pgp, or None, in the clear."""
    head = copy["data"].partition(b"\r\n\r\n")[0]
    if b"enveloped-data" in head or b"authEnveloped-data" in head:
        return "smime"
    return "pgp" if b"multipart/encrypted" in head else None


def names(data, kind):
    """The bytes of a sealed copy in which it says whom it is for."""
    body = data.partition(b"\r\n\r\n")[2]
    if kind == "pgp":
        body = body.partition(b"-----BEGIN PGP MESSAGE-----")[2].partition(b"\r\n\r\n")[2].partition(b"\r\n=")[0]
    return base64.b64decode(body[:8000 // 4 * 4].replace(b"\r\n", b"")[:7000])


def plain_of(address):
    """An address of a report, as it was written; to who reads ASCII alone it comes with \\x{HEX} (RFC 6533)."""
    return HEX.sub(lambda found: chr(int(found.group(1), 16)), address.decode())


def seconds_of(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


class Judge:
    """records: the audit's; log: of the gateway"""

    def __init__(self, world, records, log):
        self.world, self.plan, self.records, self.log = world, world.plan, records, log
        self.messages = {m.key: m for m in self.plan.messages}
        self.people = {p.address: p for p in self.plan.people}
        self.ids, self.keys, self.settled, self.attempts = {}, {}, {}, collections.defaultdict(list)
        self.twice, self.orders = collections.Counter(), set()
        self.now_to, self.stopped = {}, collections.defaultdict(list)  # by (message, n): his address; [(from, until, who)]
        for record in records:
            self.take(record)
        self.copies = collections.defaultdict(list)  # (key, address): of the plan's messages
        for copy in world.account.copies:
            for address in copy["to"]:
                if copy["key"] in self.messages:
                    self.copies[copy["key"], address].append(copy)
        self.relay_died = "relay" in self.plan.kills()
        self.is_slow = self.plan.pace.hangs and self.world.lag > LAG

    def take(self, record):
        event = record["event"]
        if event == "message.accepted":
            name = ((record.get("origin") or {}).get("message_id") or "").strip("<>").rpartition("@")[0]
            self.ids[record["message"]] = record
            if name in self.messages and record.get("kind", "mail") == "mail":
                self.twice[name] += 1
                self.keys[record["message"]] = name
        elif event == "message.settled":
            self.twice[record["message"]] += 1
            self.settled[record["message"]] = record
        elif event in ("message.held", "message.released", "message.recalled", "delivery.redirected"):
            self.ordered(event, record)
        elif event == "delivery.attempted":
            record["to"] = {n: self.address(record["message"], n) for n in record["n"]}
            self.attempts[record["message"]].append(record)

    def ordered(self, event, record):
        """Between a hold, a recall or a redirection and its release nothing goes to whom it was for."""
        identity, at = record["message"], seconds_of(record)
        self.orders.add(identity)
        for n in record["n"]:
            before = self.address(identity, n)
            spans = self.stopped[identity, n]
            if event == "message.released":
                spans[:] = [(start, min(end, at) if who == before else end, who) for start, end, who in spans]
            elif not any(who == before and end == FOREVER for _, end, who in spans):
                spans.append((at, FOREVER, before))
        for way in record.get("ways", ()) if event == "delivery.redirected" else ():
            self.now_to[identity, way["n"]] = way["to"]

    def address(self, identity, n):
        return self.now_to.get((identity, n), self.ids[identity]["to"][n])

    def ends(self):
        """(message, person, settled recipient, its message's settled record) of the plan's messages"""
        for identity, key in self.keys.items():
            record = self.settled.get(identity)
            for recipient in record["recipients"] if record else ():
                yield self.messages[key], self.people[self.address(identity, recipient["n"])], recipient, record

    def complaints(self):
        for check in (self.all_have_one_end, self.nothing_below_its_floor, self.sealed_for_whom_it_went_to, self.claims_agree,
                      self.what_is_stopped_stays, self.copies_are_counted, self.nobody_is_asked_without_end,
                      self.well_hosts_get_it, self.no_rung_is_skipped, self.nobody_gives_up_early, self.no_well_host_is_missed,
                      self.senders_hear, self.the_log_is_calm):
            yield from (f"{check.__name__}: {complaint}" for complaint in check())

    # ---- each recipient has one end ----

    def all_have_one_end(self):
        for key in self.messages:
            count = self.twice[key]
            if key in self.world.accepted and count != 1 and not (self.relay_died and count > 1):
                yield f"{key} was taken {count} times"
        for identity in self.ids:
            if self.twice[identity] != 1:
                yield f"{self.keys.get(identity, identity)} has {self.twice[identity]} ends"
        for message, person, recipient, _ in self.ends():
            if recipient["final"] not in FINAL or not recipient["floor_met"]:
                yield f"{message.key} {person.address}: {recipient}"

    # ---- what may go where ----

    def broke_handshakes(self, host):
        """Whether TLS that it offers may have failed to come about: then it may be asked without."""
        return "breaks" in self.world.account.shown.get(host.name, ()) or any(
            t.stage in ("starttls", "handshake") for t in host.troubles)

    def level(self, copy):
        message, host = self.messages.get(copy["key"]), copy["host"]
        if host.sts and not self.is_bound(host, copy["time"]):
            host = dataclasses.replace(host, sts="maybe")
        return host.level(copy["shown"], message.lifted if message is not None else self.may_be_lifted(copy))

    def may_be_lifted(self, copy):
        """Of one that was cut before its Message-ID only those are known to whom it was."""
        return copy["end"] == "cut" and any(m.lifted and {p.address for p in m.people} >= set(copy["to"])
                                            for m in self.plan.messages)

    def is_bound(self, host, when):
        """Whether its domain's policy must have been known then: it could always be read, or had been."""
        domain = next(d for d in self.plan.domains if host in d.all_hosts())
        served = self.world.policies.served.get(domain.name, FOREVER)
        return all(text is not None for _, text in domain.sts) or when > served + SLACK

    def nothing_below_its_floor(self):
        for copy in self.world.account.copies:
            message = self.messages.get(copy["key"])
            host, level = copy["host"], self.level(copy)
            if level == "broken":
                yield f"{copy['key']}: bytes at {host.name}, which broke its promise"
            if not host.utf8 and not all(address.isascii() for address in copy["to"]):
                yield f"{copy['key']}: {copy['to']} at {host.name}, which takes ASCII alone"
            if message is not None and message.asks == "REQUIRETLS" and not (copy["requires"] and level in LEVELS[3:]):
                yield f"{copy['key']}: requires TLS, and came over {level} to {host.name}"
            if message is None:
                yield from self.own_mail(copy, level)
                continue
            clear = message.marker.encode() in copy["data"]
            if copy["shown"] != copy["offered"] and not self.broke_handshakes(host):
                yield f"{message.key}: {copy['to']} without TLS to {host.name}, which offered it"
            sealed = kind_of(copy)
            if sealed and clear:
                yield f"{message.key}: its text stands in a sealed copy at {host.name}"
            for address in copy["to"]:
                person = self.people[address]
                if host not in person.domain.all_hosts():
                    yield f"{message.key} {address}: came to {host.name}"
                if not sealed and copy["end"] != "cut" and not person.ladder.allows_clear(level) or \
                        clear and not person.ladder.allows_clear(level):
                    yield f"{message.key} {address}: in the clear over {level} to {host.name}, floor {person.ladder.floor}, " \
                          f"rungs {person.ladder.names()}"
                if sealed and (not person.ladder.allows(sealed) or sealed not in person.keys):
                    yield f"{message.key} {address}: {sealed} to {host.name}, keys {person.keys}, rungs {person.ladder.names()}"

    def own_mail(self, copy, level):
        """Reports and notices hold no word of a message."""
        if b"marker-" in copy["data"]:
            yield f"a report or notice to {copy['to']} holds a message's text"
        if self.plan.notify_floor != "plain" and copy["to"] != ["dr@tenant.test"] and level == "plain":
            yield f"a notice to {copy['to']} came in the clear to {copy['host'].name}"

    def sealed_for_whom_it_went_to(self):
        """For each of them, and for nobody who was not to be seen."""
        for copy in self.world.account.copies:
            sealed = kind_of(copy)
            if sealed is None or copy["key"] not in self.messages or copy["end"] == "cut":
                continue
            said = names(copy["data"], sealed)
            named = {address for (address, kind), mark in self.world.keys.marks.items() if kind == sealed and mark in said}
            if not set(copy["to"]) <= named or not named <= {p.address for p in self.messages[copy["key"]].people}:
                yield f"{copy['key']}: {sealed} for {named} went to {copy['to']} at {copy['host'].name}"

    def claims_agree(self):
        for identity, attempts in self.attempts.items():
            if identity not in self.keys:
                continue
            for record in attempts:
                if record["outcome"] == "delivered":
                    yield from self.claim_agrees(self.keys[identity], record["to"], record)

    def claim_agrees(self, key, addresses, record):
        rung = next(r["rung"] for r in record["rungs"] if r["taken"])
        for n in record["n"]:
            at_host = [c for c in self.copies[key, addresses[n]] if record["hop"].get("ip") in c["host"].addresses()
                       and c["end"] == "taken"]
            as_said = [c for c in at_host if kind_of(c) == rung or kind_of(c) is None and rung in LEVELS
                       and self.level(c) != "broken" and LEVELS.index(self.level(c)) >= LEVELS.index(rung)]
            if not as_said:
                seen = [(c["host"].name, kind_of(c), c["shown"], c["end"]) for c in self.copies[key, addresses[n]]]
                yield f"{key} {addresses[n]}: the audit says {rung} at {record['hop'].get('mx')}; hosts saw {seen}"

    def what_is_stopped_stays(self):
        """Nobody gets what was held, recalled or sent on, but for what was at its host already and whose answer came later."""
        for (identity, n), spans in self.stopped.items():
            for start, end, address in spans:
                for copy in self.copies.get((self.keys.get(identity), address), ()):
                    if copy["end"] == "cut":  # a host may note it long after its connection was closed
                        continue
                    if start + SLACK < self.world.began + copy["time"] < end - SLACK and self.twice[self.keys[identity]] == 1:
                        yield f"{copy['key']} {address}: {copy['end']} at {copy['host'].name} {copy['time']:.2f}, stopped from " \
                              f"{start - self.world.began:.2f} to {end - self.world.began:.2f}"

    # ---- how often ----

    def copies_are_counted(self):
        for message, person, recipient, record in self.ends():
            copies = self.copies[message.key, person.address]
            taken = [c for c in copies if c["end"] == "taken"]
            what = f"{message.key} {person.address}: {recipient['final']}, taken by " \
                   f"{[(c['host'].name, round(c['time'], 2)) for c in taken]}"
            if recipient["final"] == "delivered" and not taken:
                yield what
            if recipient["final"] != "delivered" and taken and not self.relay_died:
                yield what
            if len(taken) > 1 and not (self.relay_died and (record["duplicates_possible"] or self.twice[message.key] > 1)):
                yield what

    def nobody_is_asked_without_end(self):
        often = collections.Counter(a for m in self.plan.messages for a in (p.address for p in m.people))
        times = collections.defaultdict(list)
        for at, host, what, detail in self.world.account.asked:
            if what == "rcpt":
                times[host, detail].append(at)
            elif what == "connect" and host != "home.test":
                times[host, None].append(at)
        for (host, address), asked in times.items():
            limit = 6 * often[address] if address in often else 12 if address else 60
            if address == "dr@tenant.test":
                continue
            most = max(sum(at <= other < at + WINDOW for other in asked) for at in asked)
            if most > limit:
                yield f"{host}: {address or 'connections'} {most} times in {WINDOW} s"

    # ---- where it could go ----

    def well_hosts_get_it(self):
        """Where the first host by preference is always well, it gets all mail, by the first rung that it and the keys allow.
        Where silent hosts are left soon, a machine that has too much to do makes well ones look like them."""
        if self.is_slow:
            return
        for message, person, recipient, _ in self.ends():
            domain, ladder = person.domain, person.ladder
            first = min(preference for preference, _ in domain.hosts)
            best = [h for preference, h in domain.hosts if preference == first]
            if not domain.is_steady() or not all(h.is_well() for h in best) or message.asks:
                continue
            others = [h for _, h in domain.hosts if h not in best]
            copies = self.copies[message.key, person.address]
            strays = [c["host"].name for c in copies if c["host"] in others and c["end"] != "cut"]
            if strays:
                yield f"{message.key} {person.address}: {strays} got it, though {[h.name for h in best]} are well"
            keys = () if person.gone else person.keys
            if person.gone or set(self.plan.kills()) & {"sealer", "keeper", "relay", "portal"}:
                continue
            level = best[0].level("good")
            wanted = next((r for r in ladder.names() if r in keys or r == "portal" or r in LEVELS
                           and LEVELS.index(r) <= LEVELS.index(level) and ladder.allows(r)), None)
            if recipient["rung"] != wanted and recipient["final"] != "deleted":
                yield f"{message.key} {person.address}: {recipient['final']} by {recipient['rung']}, not {wanted}, though " \
                      f"{[h.name for h in best]} are well"

    def since_accepted(self, identity, n):
        """Seconds from acceptance to what the audit says last of a recipient: no earlier than the choice that ended it."""
        last = max((seconds_of(r) for r in self.attempts[identity] if n in r["n"]), default=None)
        return None if last is None else last - seconds_of(self.ids[identity])

    def showed_less(self, domain, rung):
        """Whether a host of the domain has ever shown less than this rung needs, or can't have it at all."""
        if rung == "tls:dane" and domain.mode != "dane" or rung == "tls:authenticated" and domain.mode == "mx":
            return True
        if domain.mode == "sts" and not (domain.is_steady() and all(h.sts == "kept" for h in domain.all_hosts())):
            return True
        for host in domain.all_hosts():
            for shown in self.world.account.shown.get(host.name, ()):
                level = host.level("none" if shown == "breaks" else shown)
                if level != "broken" and LEVELS.index(level) < LEVELS.index(rung):
                    return True
            if not host.eight_bit or not host.utf8 or self.broke_handshakes(host):
                return True
            if any(t.stage == "ehlo" and t.is_final() for t in host.troubles):  # by HELO it has no extensions
                return True
        return False

    def no_rung_is_skipped(self):
        """A rung that stands above the one that was taken, and was possible or had to be waited for."""
        for message, person, recipient, record in self.ends():
            ladder, taken = person.ladder, recipient["rung"]
            since = self.since_accepted(record["message"], recipient["n"])
            if taken is None or since is None or message.asks or self.plan.is_brief(person.domain):
                continue
            for rung, stay, _ in ladder.rungs[:ladder.names().index(taken)]:
                waits = since + SLACK < (ladder.expire if stay is None else min(stay, ladder.expire))
                if not ladder.allows(rung):
                    continue
                if rung in ("smime", "pgp"):
                    if rung not in person.keys or person.gone:
                        continue
                    wrong = waits or taken in LEVELS and not {"keeper", "sealer"} & set(self.plan.kills())
                else:
                    wrong = rung in LEVELS and waits and not self.showed_less(person.domain, rung)
                if wrong:
                    yield f"{message.key} {person.address}: {taken} after {since:.1f} s, above it {rung} in {ladder.rungs}"

    def nobody_gives_up_early(self):
        """A mail comes back when its time is over, or somebody said 5xx, or no rung is possible."""
        for message, person, recipient, record in self.ends():
            if recipient["final"] not in ("returned", "failed"):
                continue
            since = self.since_accepted(record["message"], recipient["n"])
            troubles = [t for host in person.domain.all_hosts() for t in host.troubles]
            if message.asks or self.plan.is_brief(person.domain) or any(t.is_final() for t in troubles):
                continue
            if person.ladder.allows("portal") and "portal" not in self.plan.kills():
                yield f"{message.key} {person.address}: {recipient['final']}, and the portal is on its ladder"
            waits = [rung for rung, stay, _ in person.ladder.rungs if rung in LEVELS and stay is None
                     and person.ladder.allows(rung) and not self.showed_less(person.domain, rung)]
            if since is not None and since + SLACK < person.ladder.expire and waits:
                what = f"{recipient['final']} after {since:.1f} s of {person.ladder.expire}"
                yield f"{message.key} {person.address}: {what}, {waits} to be waited for"

    def speaks_for_all(self, host):
        """Whether what a host says may be so for its siblings, too, or costs more time than a message has."""
        return any(t.is_final() or t.what in ("hang", "lost") or t.stage == "dot" and t.what == "close" or not t.is_hosts_own()
                   for t in host.troubles)

    def no_well_host_is_missed(self):
        """What a host would have taken all the time, whatever its siblings did, does not come back for want of time."""
        died = set(self.plan.kills())
        for message, person, recipient, record in self.ends():
            domain, ladder, well = person.domain, person.ladder, person.domain.well_host()
            if recipient["final"] not in ("returned", "failed", "deleted") or well is None or message.asks or self.is_slow \
                    or record["message"] in self.orders or not domain.is_steady() \
                    or any(map(self.speaks_for_all, domain.all_hosts())):
                continue
            keys = () if person.gone or {"keeper", "sealer"} & died else person.keys
            level = well.level("good")
            if any(ladder.allows(r) and (r in keys or r in LEVELS and LEVELS.index(r) <= LEVELS.index(level))
                   for r in ladder.names()):
                since = self.since_accepted(record["message"], recipient["n"])
                yield f"{message.key} {person.address}: {recipient['final']} after {since} s, though {well.name} is well: " \
                      f"{[(h.name, p, h.shown, h.troubles) for p, h in domain.hosts]}, {ladder.rungs}"

    # ---- who hears of it ----

    def senders_hear(self):
        told = collections.Counter()
        for copy in self.world.account.copies:
            if b"report-type=delivery-status" not in copy["data"] or copy["end"] != "taken":
                continue
            if copy["to"] != ["dr@tenant.test"] or copy["from"] != "":
                yield f"a report from <{copy['from']}> to {copy['to']}"
            for address, action in TOLD.findall(copy["data"]):
                for key in set(ORIGINAL.findall(copy["data"])):
                    told[key.decode(), plain_of(address), action.decode()] += 1
        for message, person, recipient, _ in self.ends():
            failed = told[message.key, person.address, "failed"]
            wanted = recipient["final"] == "returned"
            if failed != wanted and not (self.relay_died and wanted and failed > 1) and not (self.is_slow and failed == 0):
                yield f"{message.key} {person.address}: {recipient['final']}, and {failed} reports of failure"
            if recipient["final"] in ("returned", "failed") and (message.notify == "NEVER") != (recipient["final"] == "failed"):
                yield f"{message.key} {person.address}: {recipient['final']} with NOTIFY={message.notify}"
            if told[message.key, person.address, "delayed"] > 1 and not self.relay_died:
                yield f"{message.key} {person.address}: told of a delay more than once"

    def the_log_is_calm(self):
        for line in self.log.splitlines():
            if '"level":"error"' not in line:
                continue
            entry = json.loads(line)
            if not (entry["event"] == "supervisor.role-ended" and entry.get("signal") == 9):
                yield line[:400]
