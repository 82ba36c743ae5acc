/*
 * The table of sallyport.json: every setting with its type, range, default and one sentence. This table is the only
 * place that knows them: reader, checks, suggestions and docs/settings.md follow. A setting that is not used by any role
 * does not belong here.
 */
#include "config/config.h"

#include "config/table.h"

#define AT(member) offsetof(struct sp_config, member)
#define HOUR       ((int64_t)3600000)
#define DAY        (24 * HOUR)
#define MIB        ((int64_t)1 << 20)
#define GIB        ((int64_t)1 << 30)

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const address_forms[] = {"plain", "hmac", NULL};
/* in the order of their enums */
static const char *const listen_auth[] = {"offered", "required", "off", NULL};
static const char *const listen_tls[] = {"starttls", "implicit", "none", NULL};

/* clang-format off */
static const struct sp_setting settings[] = {
    {"node", SP_SETTING_TEXT, AT(node), 0, 0, NULL, NULL, SP_FORM_NAME,
     "name of this gateway in every audit record; never reused for another machine"},
    {"hostname", SP_SETTING_TEXT, AT(hostname), 0, 0, NULL, NULL, SP_FORM_HOST,
     "our name in EHLO, Received and Message-ID"},
    {"state_dir", SP_SETTING_TEXT, AT(state_dir), 0, 0, "/var/lib/sallyport", NULL, SP_FORM_PATH,
     "folder of spool, stores and audit files"},
    {"master_key", SP_SETTING_TEXT, AT(master_key), 0, 0, "keys/master.key", NULL, SP_FORM_PATH,
     "file of 32 random bytes from which the key-encryption keys are derived; keep it outside state_dir. \"credential:NAME\" "
     "here and for any file of a key or certificate: a systemd credential of the service"},
    {"workers", SP_SETTING_INT, AT(workers), 0, 256, "0", NULL, SP_FORM_ANY,
     "relay processes; 0 starts one a core"},
    {"uid_base", SP_SETTING_INT, AT(uid_base), 0, 0x7ffffff0, "0", NULL, SP_FORM_ANY,
     "first of a block of 64 numeric user ids for the roles; 0 runs all as the user who started"},
    {"stop", SP_SETTING_DURATION, AT(stop_ms), 1000, 600000, "20s", NULL, SP_FORM_ANY,
     "how long a clean stop may take to finish what is in flight"},
    {"policy", SP_SETTING_TEXT, AT(policy), 0, 0, "policies/policy.json", NULL, SP_FORM_PATH,
     "the policy file; what it extends and names is looked for beside it"},
    {"tenants", SP_SETTING_TEXT, AT(tenants), 0, 0, "tenants", NULL, SP_FORM_PATH,
     "folder of one file a tenant"},
    {"log.level", SP_SETTING_WORD, AT(log.level), 0, 0, "info", log_levels, SP_FORM_ANY,
     "least level of events that are logged"},
    {"tls.certificate", SP_SETTING_TEXT, AT(tls.certificate), 0, 0, "", NULL, SP_FORM_PATH,
     "certificate chain of the SMTP listeners, PEM; P-256 costs least"},
    {"tls.key", SP_SETTING_TEXT, AT(tls.key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM"},
    {"tls.staple", SP_SETTING_TEXT, AT(tls.staple), 0, 0, "", NULL, SP_FORM_PATH,
     "OCSP response for it, DER, kept fresh by somebody else; shown while it is good"},
    {"tls.watch", SP_SETTING_DURATION, AT(tls.watch_ms), 0, HOUR, "10s", NULL, SP_FORM_ANY,
     "how often certificates, keys and staples are looked at for renewals, which take effect by themselves; 0s: only by a reload"},
    {"tls.tickets", SP_SETTING_DURATION, AT(tls.tickets_ms), 1000, 7 * DAY, "6h", NULL, SP_FORM_ANY,
     "how long one key makes session tickets; the three before it still open theirs"},
    {"tls.client_ca", SP_SETTING_TEXT, AT(tls.client_ca), 0, 0, "", NULL, SP_FORM_PATH,
     "authorities that client certificates must chain to, PEM; none takes the system's. One is asked for where a tenant names client_certificates or has a user with certificate:NAME"},
    {"intake.size_limit", SP_SETTING_SIZE, AT(intake.size_limit), 1024, 2 * GIB, "150MiB", NULL, SP_FORM_ANY,
     "largest message that is taken (SIZE)"},
    {"intake.max_recipients", SP_SETTING_INT, AT(intake.max_recipients), 1, 10000, "1000", NULL, SP_FORM_ANY,
     "recipients a message, one that is named twice counted twice; more are answered 452"},
    {"intake.max_sessions", SP_SETTING_INT, AT(intake.max_sessions), 1, 100000, "2000", NULL, SP_FORM_ANY,
     "sessions at a time of the gateway, in equal parts for its relays; more are answered 421"},
    {"intake.max_queue", SP_SETTING_INT, AT(intake.max_queue), 1, 100000000, "1000000", NULL, SP_FORM_ANY,
     "messages in the queue, in equal parts for the relays; with so many, new ones are answered 452; read at the start"},
    {"intake.max_source", SP_SETTING_INT, AT(intake.max_source), 1, 100000, "500", NULL, SP_FORM_ANY,
     "sessions at a time of one IPv4 address or IPv6 /64; more are answered 421"},
    {"intake.max_connects", SP_SETTING_INT, AT(intake.max_connects), 0, 10000000, "12000", NULL, SP_FORM_ANY,
     "connections in a minute of one IPv4 address or IPv6 /64; more are answered 421; 0 allows any"},
    {"intake.max_bytes", SP_SETTING_SIZE, AT(intake.max_bytes), 0, (int64_t)1 << 40, "0", NULL, SP_FORM_ANY,
     "bytes a second that the gateway reads of its clients, in equal parts for its relays; sessions wait for their turn, a tenant's behind each other's; a relay's part counts as 16KiB if it is less; 0 allows any"},
    {"intake.max_source_bytes", SP_SETTING_SIZE, AT(intake.max_source_bytes), 0, (int64_t)1 << 40, "0", NULL, SP_FORM_ANY,
     "bytes a second that are read of one IPv4 address or IPv6 /64, counted in the same way; its sessions wait, nobody else's; 0 allows any"},
    {"intake.max_memory", SP_SETTING_SIZE, AT(intake.max_memory), 0, (int64_t)1 << 44, "1GiB", NULL, SP_FORM_ANY,
     "memory of sessions and of messages on their way in, of the gateway in equal parts for its relays (4MiB at least); past it, who holds more than an equal share is answered 452 or 421; 0 allows any"},
    {"intake.max_source_memory", SP_SETTING_SIZE, AT(intake.max_source_memory), 0, (int64_t)1 << 44, "256MiB", NULL, SP_FORM_ANY,
     "the same of one IPv4 address or IPv6 /64"},
    {"intake.max_errors", SP_SETTING_INT, AT(intake.max_errors), 1, 1000, "20", NULL, SP_FORM_ANY,
     "failed commands after which a session is closed"},
    {"intake.idle", SP_SETTING_DURATION, AT(intake.idle_ms), 1000, HOUR, "5m", NULL, SP_FORM_ANY,
     "silence after which a session is closed"},
    {"intake.handshake", SP_SETTING_DURATION, AT(intake.handshake_ms), 1000, HOUR / 6, "30s", NULL, SP_FORM_ANY,
     "time for the whole of a TLS handshake, whatever of it comes"},
    {"intake.least_rate", SP_SETTING_SIZE, AT(intake.least_rate), 0, GIB, "1KiB", NULL, SP_FORM_ANY,
     "bytes a second that a message must come with, after intake.idle of grace; slower sessions are closed; 0 allows any"},
    {"intake.inline_limit", SP_SETTING_SIZE, AT(intake.inline_limit), 0, 256 * 1024, "256KiB", NULL, SP_FORM_ANY,
     "bodies up to this size lie in their journal record, larger ones in a file; takes effect at a start"},
    {"intake.memory", SP_SETTING_SIZE, AT(intake.memory), MIB, 64 * GIB, "32MiB", NULL, SP_FORM_ANY,
     "memory for all bodies in flight in one relay; past it they spill, or reading stops"},
    {"intake.scan", SP_SETTING_DURATION, AT(intake.scan_ms), 1000, 600000, "60s", NULL, SP_FORM_ANY,
     "time for both tries of the scanner together; then the fact is scan: failed"},

    {"resolver.servers", SP_SETTING_TEXTS, AT(resolver.servers), 1, 0, "127.0.0.1:53", NULL, SP_FORM_ADDRESS,
     "DNS servers, asked in turn"},
    {"resolver.trusted", SP_SETTING_BOOL, AT(resolver.trusted), 0, 0, "false", NULL, SP_FORM_ANY,
     "believe their AD bit: only for a validating resolver that nobody can speak for, as on loopback; without it DANE counts as absent"},
    {"resolver.timeout", SP_SETTING_DURATION, AT(resolver.timeout_ms), 100, 60000, "5s", NULL, SP_FORM_ANY,
     "time for one question with all its repeats"},

    {"delivery.port", SP_SETTING_INT, AT(delivery.port), 1, 65535, "25", NULL, SP_FORM_ANY,
     "port of next hops found by MX; the TLSA name follows it"},
    {"delivery.next_hop", SP_SETTING_TEXT, AT(delivery.next_hop), 0, 0, "", NULL, SP_FORM_ADDRESS,
     "one next hop for all mail instead of MX"},
    {"delivery.ca", SP_SETTING_TEXT, AT(delivery.ca), 0, 0, "", NULL, SP_FORM_PATH,
     "trust anchors beside the system's for next hops, PEM"},
    {"delivery.long_lines", SP_SETTING_BOOL, AT(delivery.long_lines), 0, 0, "false", NULL, SP_FORM_ANY,
     "send lines of more than 998 bytes (RFC 5321 4.5.3.1.6) as they came, unchanged; if not, such a message goes sealed or to the portal (to the portal alone for a word of the header that can't be folded), or is refused at the end of data where neither is on its ladder"},
    {"delivery.retry_first", SP_SETTING_DURATION, AT(delivery.retry_first_ms), 100, DAY, "5m", NULL, SP_FORM_ANY,
     "wait before the second attempt; later ones double it"},
    {"delivery.retry_max", SP_SETTING_DURATION, AT(delivery.retry_max_ms), 100, 7 * DAY, "2h", NULL, SP_FORM_ANY,
     "longest wait between attempts"},
    {"delivery.expire", SP_SETTING_DURATION, AT(delivery.expire_ms), 1000, 30 * DAY, "2d", NULL, SP_FORM_ANY,
     "age at which mail goes back to its sender, where the policy sets none; life of a report to a sender"},
    {"delivery.connect", SP_SETTING_DURATION, AT(delivery.connect_ms), 100, 600000, "30s", NULL, SP_FORM_ANY,
     "time for a connection to a next hop, and then for a handshake"},
    {"delivery.command", SP_SETTING_DURATION, AT(delivery.command_ms), 100, 1800000, "5m", NULL, SP_FORM_ANY,
     "time for a next hop's reply; behind the last dot at least 10 minutes"},
    {"delivery.max_connections", SP_SETTING_INT, AT(delivery.max_connections), 1, 1000, "20", NULL, SP_FORM_ANY,
     "connections to one next hop at a time from each relay (67 at most: others have the rest of its 200)"},
    {"delivery.reuse", SP_SETTING_DURATION, AT(delivery.reuse_ms), 0, 300000, "10s", NULL, SP_FORM_ANY,
     "how long an idle connection is kept for the next message"},
    {"delivery.suppress", SP_SETTING_DURATION, AT(delivery.suppress_ms), 0, 365 * DAY, "0s", NULL, SP_FORM_ANY,
     "how long an address that its host says does not exist is not tried again; 0s: it is"},
    {"delivery.dsn_delay", SP_SETTING_DURATION, AT(delivery.dsn_delay_ms), 0, 7 * DAY, "4h", NULL, SP_FORM_ANY,
     "age at which the sender hears once of a delay; 0s never"},

    {"roles.scanners", SP_SETTING_INT, AT(roles.scanners), 1, 64, "2", NULL, SP_FORM_ANY,
     "scanner processes: one that a message hangs costs others nothing while another is free"},
    {"roles.sealers", SP_SETTING_INT, AT(roles.sealers), 1, 64, "2", NULL, SP_FORM_ANY,
     "sealer processes"},
    {"roles.job", SP_SETTING_DURATION, AT(roles.job_ms), 1000, 600000, "60s", NULL, SP_FORM_ANY,
     "time for one job of sealer, keeper or portal"},

    {"portal.listen", SP_SETTING_TEXT, AT(portal.listen), 0, 0, "", NULL, SP_FORM_ADDRESS,
     "address of the pick-up portal; none switches the rung off"},
    {"portal.url", SP_SETTING_TEXT, AT(portal.url), 0, 0, "", NULL, SP_FORM_URL,
     "its address as recipients see it"},
    {"portal.certificate", SP_SETTING_TEXT, AT(portal.certificate), 0, 0, "", NULL, SP_FORM_PATH,
     "its certificate chain, PEM; none takes tls.certificate"},
    {"portal.key", SP_SETTING_TEXT, AT(portal.key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM; none takes tls.key"},
    {"portal.code_valid", SP_SETTING_DURATION, AT(portal.code_ms), 60000, DAY, "15m", NULL, SP_FORM_ANY,
     "how long a mailbox code may be used"},
    {"portal.session", SP_SETTING_DURATION, AT(portal.session_ms), 60000, DAY, "30m", NULL, SP_FORM_ANY,
     "how long an open package may be read before a new code is due"},
    {"portal.max_codes", SP_SETTING_INT, AT(portal.max_codes), 1, 1000, "5", NULL, SP_FORM_ANY,
     "codes sent for one package to one client in an hour; four times as many in all, and to one mailbox"},
    {"portal.max_tries", SP_SETTING_INT, AT(portal.max_tries), 1, 100, "5", NULL, SP_FORM_ANY,
     "wrong entries after which a code is void"},
    {"portal.choice", SP_SETTING_DURATION, AT(portal.choice_ms), 0, 3650 * DAY, "365d", NULL, SP_FORM_ANY,
     "how long what a recipient chooses in the portal for future mail holds (recipient.preference); 0 offers no choice"},

    {"admin.socket", SP_SETTING_TEXT, AT(admin.socket), 0, 0, "admin/admin.sock", NULL, SP_FORM_PATH,
     "control socket of the command line, relative to state_dir"},
    {"admin.listen", SP_SETTING_TEXT, AT(admin.listen), 0, 0, "", NULL, SP_FORM_ADDRESS,
     "loopback address of the metrics page (GET /metrics, /healthz); none switches it off"},
    {"admin.sites", SP_SETTING_INT, AT(admin.sites), 0, 1000, "20", NULL, SP_FORM_ANY,
     "destinations that the metrics page names, those that most wait for first; 0: none"},

    {"audit.file", SP_SETTING_TEXT, AT(audit.file), 0, 0, "audit.jsonl", NULL, SP_FORM_PATH,
     "file of audit records, relative to the ledger's folder"},
    {"audit.signing_key", SP_SETTING_TEXT, AT(audit.signing_key), 0, 0, "keys/audit.key", NULL, SP_FORM_PATH,
     "Ed25519 private key of the checkpoints, PEM"},
    {"audit.checkpoint", SP_SETTING_DURATION, AT(audit.checkpoint_ms), 100, HOUR, "60s", NULL, SP_FORM_ANY,
     "time between checkpoints"},
    {"audit.checkpoint_records", SP_SETTING_INT, AT(audit.checkpoint_records), 1, 1000000, "1000", NULL, SP_FORM_ANY,
     "records between checkpoints"},
    {"audit.rotate_size", SP_SETTING_SIZE, AT(audit.rotate_size), 0, 1024 * GIB, "1GiB", NULL, SP_FORM_ANY,
     "behind the next checkpoint a file of that size gives way to a new one; 0: whatever its size"},
    {"audit.rotate_every", SP_SETTING_DURATION, AT(audit.rotate_every_ms), 0, 366 * DAY, "30d", NULL, SP_FORM_ANY,
     "and so does one when such a piece of the UTC clock is over: 1d is each day; 0s: however old it is"},
    {"audit.keep", SP_SETTING_DURATION, AT(audit.keep_ms), 0, 36500 * DAY, "2192d", NULL, SP_FORM_ANY,
     "a file that has ended so long ago is removed, on record (six years, 45 CFR 164.316(b)(2)(i)); 0s: never"},
    {"audit.addresses", SP_SETTING_WORD, AT(audit.addresses), 0, 0, "plain", address_forms, SP_FORM_ANY,
     "how addresses stand in audit records: as they are, or as keyed hashes with the domain in plain"},
    {"audit.address_key", SP_SETTING_TEXT, AT(audit.address_key), 0, 0, "", NULL, SP_FORM_PATH,
     "file with the key of these hashes, 32 random bytes or more, for gateways that shall give an address the same hash; none: derived from the master key"},

    {"sealer.smime_certificate", SP_SETTING_TEXT, AT(sealer.smime_certificate), 0, 0, "", NULL, SP_FORM_PATH,
     "S/MIME certificate that signs for tenants which name none, PEM"},
    {"sealer.smime_key", SP_SETTING_TEXT, AT(sealer.smime_key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM"},
    {"sealer.pgp_home", SP_SETTING_TEXT, AT(sealer.pgp_home), 0, 0, "gnupg", NULL, SP_FORM_PATH,
     "private GnuPG home of the sealer, relative to its folder"},
    {"sealer.pgp_key", SP_SETTING_TEXT, AT(sealer.pgp_key), 0, 0, "", NULL, SP_FORM_PATH,
     "OpenPGP secret key that signs for tenants which name none; none sends encrypted without a signature"},
    {"sealer.dkim_key", SP_SETTING_TEXT, AT(sealer.dkim_key), 0, 0, "", NULL, SP_FORM_PATH,
     "RSA private key that signs by DKIM for tenants which name none, PEM"},
    {"sealer.dkim_ed25519_key", SP_SETTING_TEXT, AT(sealer.dkim_ed25519_key), 0, 0, "", NULL, SP_FORM_PATH,
     "Ed25519 private key that signs by DKIM for tenants which name none, PEM"},

    {"oauth.leeway", SP_SETTING_DURATION, AT(oauth.leeway_ms), 0, HOUR, "60s", NULL, SP_FORM_ANY,
     "how far the clocks of issuers of tokens may be from ours"},

    {"keeper.smime_ca", SP_SETTING_TEXT, AT(keeper.smime_ca), 0, 0, "", NULL, SP_FORM_PATH,
     "trust anchors of recipients' certificates, PEM; none leaves only those that an administrator pins"},

    {"fetcher.sts_ca", SP_SETTING_TEXT, AT(fetcher.sts_ca), 0, 0, "", NULL, SP_FORM_PATH,
     "trust anchors beside the system's for hosts of MTA-STS policies and TLS reports, PEM"},
    {"fetcher.sts_port", SP_SETTING_INT, AT(fetcher.sts_port), 1, 65535, "443", NULL, SP_FORM_ANY,
     "port of MTA-STS hosts; another one is for tests"},
    {"fetcher.timeout", SP_SETTING_DURATION, AT(fetcher.timeout_ms), 1000, 600000, "60s", NULL, SP_FORM_ANY,
     "time for one fetch"},

    {"tls_reports.send", SP_SETTING_BOOL, AT(tls_reports.send), 0, 0, "true", NULL, SP_FORM_ANY,
     "send each domain that asks for it a daily report of TLS with its hosts (RFC 8460)"},
    {"tls_reports.tenant", SP_SETTING_TEXT, AT(tls_reports.tenant), 0, 0, "", NULL, SP_FORM_ANY,
     "tenant whose DKIM domain reports and signs; none takes the first that has a selector"},
    {"tls_reports.organization", SP_SETTING_TEXT, AT(tls_reports.organization), 0, 0, "", NULL, SP_FORM_ANY,
     "organization-name in the reports; none says our hostname"},
    {"tls_reports.contact", SP_SETTING_TEXT, AT(tls_reports.contact), 0, 0, "", NULL, SP_FORM_ANY,
     "address that reports come from and name as contact; none says postmaster@ the signing domain"},
    {"tls_reports.delay", SP_SETTING_DURATION, AT(tls_reports.delay_ms), 1000, DAY, "4h", NULL, SP_FORM_ANY,
     "a report goes at a random moment of this time after the day (UTC) has ended"},
    {"tls_reports.retry", SP_SETTING_DURATION, AT(tls_reports.retry_ms), 1000, DAY, "15m", NULL, SP_FORM_ANY,
     "pause before a report that failed is tried again; it doubles each time, for a day"},

    {"contacts.learn", SP_SETTING_DURATION, AT(contacts.learn_ms), 0, 365 * DAY, "7d", NULL, SP_FORM_ANY,
     "recipient.first_contact is unknown, rather than true, for so long after the gateway has begun to remember whom its tenants write to"},
    {"contacts.keep", SP_SETTING_DURATION, AT(contacts.keep_ms), DAY, 3650 * DAY, "400d", NULL, SP_FORM_ANY,
     "how long after the last mail a recipient is remembered"},
    {"contacts.max", SP_SETTING_INT, AT(contacts.max), 0, 1000000, "1000000", NULL, SP_FORM_ANY,
     "recipients that are remembered; once there are as many, who is not among them is unknown, not new; 0 remembers none"},

    {"publishing.second_person", SP_SETTING_BOOL, AT(publishing.second_person), 0, 0, "false", NULL, SP_FORM_ANY,
     "a policy decides mail only after another user than the one who publishes it has approved it"},
    {"publishing.approvers", SP_SETTING_TEXTS, AT(publishing.approvers), 0, 0, "", NULL, SP_FORM_UID,
     "user ids (as id -u prints them) that may approve, beside root; they may ask nothing else of the gateway"},

    {"holds.approvers", SP_SETTING_TEXTS, AT(holds.approvers), 0, 0, "", NULL, SP_FORM_GROUP_UID,
     "who may release or delete, beside root, what a rule holds for a group (`by`), and list it; such a user may ask nothing else of the gateway"},
    {"holds.notify", SP_SETTING_TEXTS, AT(holds.notify), 0, 0, "", NULL, SP_FORM_GROUP_MAILBOX,
     "who is told by mail that something is held for a group; the notice names messages by their ids and has no word of them"},
    {"holds.notify_every", SP_SETTING_DURATION, AT(holds.notify_every_ms), 1000, 7 * DAY, "15m", NULL, SP_FORM_ANY,
     "such notices of one relay to one address follow each other no sooner; each relay tells what waits in its own shard"},
};

static const struct sp_setting listen_settings[] = {
    {"address", SP_SETTING_TEXT, offsetof(struct sp_config_listen, address), 0, 0, NULL, NULL, SP_FORM_ADDRESS,
     "where it listens; port 0 takes a free one"},
    {"tls", SP_SETTING_CHOICE, offsetof(struct sp_config_listen, tls), 0, 0, "starttls", listen_tls, SP_FORM_ANY,
     "TLS after STARTTLS, from the first byte, or never"},
    {"auth", SP_SETTING_CHOICE, offsetof(struct sp_config_listen, auth), 0, 0, "offered", listen_auth, SP_FORM_ANY,
     "AUTH in TLS: offered, required before any mail (a submission port, as 587 and 465), or off"},
    {"bounces", SP_SETTING_BOOL, offsetof(struct sp_config_listen, bounces), 0, 0, "false", NULL, SP_FORM_ANY,
     "this one takes what comes back to the tenants' return paths (bounces.domain) and nothing else, from anybody, with TLS or without"},
    {"proxies", SP_SETTING_TEXTS, offsetof(struct sp_config_listen, proxies), 0, 0, "", NULL, SP_FORM_CIDR,
     "networks of load balancers: their connections must begin with a PROXY header, version 2, whose client then counts as the peer"},
    {"certificates", SP_SETTING_TEXTS, offsetof(struct sp_config_listen, certificates), 0, 0, "", NULL, SP_FORM_NAME,
     "names of those tls.certificates that it shows, the first of them to who asks for no name; none: tls.certificate and all of them"},
    {"plain_ok", SP_SETTING_BOOL, offsetof(struct sp_config_listen, plain_ok), 0, 0, "false", NULL, SP_FORM_ANY,
     "take mail from loopback without AUTH or TLS: for tests and benchmarks"},
};

static const struct sp_setting certificate_settings[] = {
    {"name", SP_SETTING_TEXT, offsetof(struct sp_config_certificate, name), 0, 0, "", NULL, SP_FORM_NAME,
     "by which listeners name it in their certificates; an ECDSA and an RSA one may share it"},
    {"certificate", SP_SETTING_TEXT, offsetof(struct sp_config_certificate, certificate), 0, 0, NULL, NULL, SP_FORM_PATH,
     "certificate chain, PEM, shown to clients that ask for a name in it (SNI); RSA beside ECDSA for the same name: the client's algorithms choose"},
    {"key", SP_SETTING_TEXT, offsetof(struct sp_config_certificate, key), 0, 0, NULL, NULL, SP_FORM_PATH,
     "its private key, PEM"},
    {"staple", SP_SETTING_TEXT, offsetof(struct sp_config_certificate, staple), 0, 0, "", NULL, SP_FORM_PATH,
     "OCSP response for it, DER"},
};

static const struct sp_setting route_settings[] = {
    {"domain", SP_SETTING_TEXT, offsetof(struct sp_config_route, domain), 0, 0, NULL, NULL, SP_FORM_HOST,
     "recipient domain"},
    {"to", SP_SETTING_TEXT, offsetof(struct sp_config_route, to), 0, 0, NULL, NULL, SP_FORM_ADDRESS,
     "its next hop as host:port, instead of MX"},
};

static const struct sp_setting pin_settings[] = {
    {"domain", SP_SETTING_TEXT, offsetof(struct sp_config_route, domain), 0, 0, NULL, NULL, SP_FORM_HOST,
     "recipient domain"},
    {"name", SP_SETTING_TEXT, offsetof(struct sp_config_route, to), 0, 0, NULL, NULL, SP_FORM_HOST,
     "name that its hosts' certificates must show: then they count as authenticated"},
};

static const struct sp_setting retry_settings[] = {
    {"match", SP_SETTING_TEXT, offsetof(struct sp_config_retry, match), 0, 0, NULL, NULL, SP_FORM_NAME,
     "enhanced status code (`4.2.2`), its beginning (`4.7`), reply code (`421`), or the reason's name (`hop.unreachable`); the closest one holds"},
    {"first", SP_SETTING_DURATION, offsetof(struct sp_config_retry, first_ms), 0, 7 * DAY, "0s", NULL, SP_FORM_ANY,
     "wait before the second attempt; 0s: as usual"},
    {"max", SP_SETTING_DURATION, offsetof(struct sp_config_retry, max_ms), 0, 7 * DAY, "0s", NULL, SP_FORM_ANY,
     "longest wait between attempts; 0s: as usual"},
    {"expire", SP_SETTING_DURATION, offsetof(struct sp_config_retry, expire_ms), 0, 30 * DAY, "0s", NULL, SP_FORM_ANY,
     "age at which mail that meets this failure is given up, if that is sooner than its own; 0s: its own"},
};

static const struct sp_setting smarthost_settings[] = {
    {"route", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, route), 0, 0, NULL, NULL, SP_FORM_ANY,
     "recipient domain, name that a rule's `route` uses, or `*` for all mail that nothing else takes"},
    {"host", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, host), 0, 0, NULL, NULL, SP_FORM_ADDRESS,
     "where it is, as host:port"},
    {"priority", SP_SETTING_INT, offsetof(struct sp_config_smarthost, priority), 0, 65535, "10", NULL, SP_FORM_ANY,
     "lower ones are tried first, the next when none of these can be reached"},
    {"weight", SP_SETTING_INT, offsetof(struct sp_config_smarthost, weight), 1, 1000, "1", NULL, SP_FORM_ANY,
     "share of the mail among those of the same priority"},
    {"name", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, name), 0, 0, "", NULL, SP_FORM_HOST,
     "name that its certificate must show to count as authenticated; the host's own if not given"},
    {"certificate", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, certificate), 0, 0, "", NULL, SP_FORM_PATH,
     "certificate chain that we show it, PEM: the return leg to a tenant's Microsoft 365 or Google Workspace"},
    {"key", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM"},
    {"helo", SP_SETTING_TEXT, offsetof(struct sp_config_smarthost, helo), 0, 0, "", NULL, SP_FORM_HOST,
     "our name in EHLO; `hostname` if not given"},
};

static const struct sp_setting issuer_settings[] = {
    {"issuer", SP_SETTING_TEXT, offsetof(struct sp_config_issuer, issuer), 0, 0, NULL, NULL, SP_FORM_ANY,
     "what a token's `iss` must say"},
    {"audience", SP_SETTING_TEXT, offsetof(struct sp_config_issuer, audience), 0, 0, NULL, NULL, SP_FORM_ANY,
     "what its `aud` must say or hold"},
    {"keys", SP_SETTING_TEXT, offsetof(struct sp_config_issuer, keys), 0, 0, NULL, NULL, SP_FORM_PATH,
     "the issuer's key set (JWKS, RFC 7517): RS256, ES256 and EdDSA keys of it count"},
    {"claim", SP_SETTING_TEXT, offsetof(struct sp_config_issuer, claim), 0, 0, "sub", NULL, SP_FORM_ANY,
     "claim that names the user; a tenant's user has it as `oauth:VALUE`"},
    {"tenant", SP_SETTING_TEXT, offsetof(struct sp_config_issuer, tenant), 0, 0, "", NULL, SP_FORM_NAME,
     "the only tenant whose users it vouches for; needed where there is more than one tenant"},
};

static const struct sp_setting_list lists[] = {
    {"listen", AT(listen), AT(listen_count), sizeof(struct sp_config_listen), listen_settings,
     SP_ARRAY_LEN(listen_settings), 1, false, "At least one: where mail is taken."},
    {"tls.certificates", AT(tls.certificates), AT(tls.certificate_count), sizeof(struct sp_config_certificate),
     certificate_settings, SP_ARRAY_LEN(certificate_settings), 0, false, "More certificates of the SMTP listeners."},
    {"delivery.routes", AT(delivery.routes), AT(delivery.route_count), sizeof(struct sp_config_route),
     route_settings, SP_ARRAY_LEN(route_settings), 0, true, "Next hops of single domains."},
    {"delivery.pins", AT(delivery.pins), AT(delivery.pin_count), sizeof(struct sp_config_route),
     pin_settings, SP_ARRAY_LEN(pin_settings), 0, true, "Certificate names of partners."},
    {"delivery.retries", AT(delivery.retries), AT(delivery.retry_count), sizeof(struct sp_config_retry),
     retry_settings, SP_ARRAY_LEN(retry_settings), 0, false, "Waiting times of single kinds of failure."},
    {"delivery.smarthosts", AT(delivery.smarthosts), AT(delivery.smarthost_count), sizeof(struct sp_config_smarthost),
     smarthost_settings, SP_ARRAY_LEN(smarthost_settings), 0, false,
     "Several next hops of a route: priority, weight, and who we are to each."},
    {"oauth.issuers", AT(oauth.issuers), AT(oauth.issuer_count), sizeof(struct sp_config_issuer), issuer_settings,
     SP_ARRAY_LEN(issuer_settings), 0, false, "Who vouches for users by tokens (AUTH OAUTHBEARER, RFC 7628)."},
};
/* clang-format on */

static const struct sp_setting_table table = {
    "sallyport.json", settings, SP_ARRAY_LEN(settings), lists, SP_ARRAY_LEN(lists),
};

/* The page has no log-in: whoever reaches it may read it. */
static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

static bool is_in_routes(const struct sp_config *c, const char *name)
{
    for (size_t i = 0; i < c->delivery.route_count; i++)
        if (strcmp(c->delivery.routes[i].domain, name) == 0)
            return true;
    return strcmp(name, "*") == 0 && c->delivery.next_hop[0] != 0;
}

static void check_smarthosts(const struct sp_config *c, const struct sp_json *root,
                             struct sp_problems *problems)
{
    const struct sp_json *at = sp_json_find(sp_json_find(root, "delivery"), "smarthosts");

    for (size_t i = 0; i < c->delivery.smarthost_count; i++) {
        const struct sp_config_smarthost *s = &c->delivery.smarthosts[i];
        size_t same = 0;

        for (size_t k = 0; k < c->delivery.smarthost_count; k++)
            same += strcmp(c->delivery.smarthosts[k].route, s->route) == 0;
        if (s->route[0] == 0)
            sp_problem(problems, at, SP_E_CONFIG_INVALID, "smarthost %zu: \"route\" is empty", i);
        if (same > SP_CONFIG_SMARTHOSTS_MAX)
            sp_problem(problems, at, SP_E_CONFIG_RANGE, "route \"%s\" has more than %d smarthosts",
                       s->route, SP_CONFIG_SMARTHOSTS_MAX);
        if (is_in_routes(c, s->route))
            sp_problem(problems, at, SP_E_CONFIG_INVALID,
                       "route \"%s\" stands in delivery.%s too: one of them must go", s->route,
                       s->route[0] == '*' ? "next_hop" : "routes");
        if ((s->certificate[0] != 0) != (s->key[0] != 0))
            sp_problem(problems, at, SP_E_CONFIG_MISSING,
                       "smarthost %zu: certificate and key are given both or not at all", i);
    }
}

static void check_retries(const struct sp_config *c, const struct sp_json *root,
                          struct sp_problems *problems)
{
    const struct sp_json *at = sp_json_find(sp_json_find(root, "delivery"), "retries");

    for (size_t i = 0; i < c->delivery.retry_count; i++) {
        const struct sp_config_retry *r = &c->delivery.retries[i];

        if (r->first_ms > 0 && r->max_ms > 0 && r->max_ms < r->first_ms)
            sp_problem(problems, at, SP_E_CONFIG_RANGE, "%s: max is shorter than first", r->match);
        if (r->match[0] == '5' || r->match[0] == '2')
            sp_problem(problems, at, SP_E_CONFIG_INVALID,
                       "%s: only failures of the moment are tried again, those of 4", r->match);
    }
}

static bool has_certificate(const struct sp_config *c, const char *name)
{
    for (size_t i = 0; i < c->tls.certificate_count; i++) {
        if (strcmp(c->tls.certificates[i].name, name) == 0)
            return true;
    }
    return false;
}

static void check_listeners(const struct sp_config *c, const struct sp_json *at,
                            struct sp_problems *problems)
{
    bool has_tls = c->tls.certificate[0] != 0 && c->tls.key[0] != 0;

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct sp_config_listen *l = &c->listen[i];

        if (l->tls != SP_LISTEN_NONE && !has_tls)
            sp_problem(problems, at, SP_E_CONFIG_MISSING,
                       "listener %zu uses TLS: tls.certificate and tls.key must be given", i);
        if (l->tls == SP_LISTEN_NONE && l->certificates.count > 0)
            sp_problem(problems, at, SP_E_CONFIG_INVALID,
                       "listener %zu has no TLS, and certificates", i);
        for (size_t k = 0; k < l->certificates.count; k++)
            if (!has_certificate(c, l->certificates.items[k]))
                sp_problem(problems, at, SP_E_CONFIG_MISSING,
                           "listener %zu: no certificate of tls.certificates has the name \"%s\"",
                           i, l->certificates.items[k]);
    }
}

/* What no single setting can tell. */
static void check_together(const struct sp_config *c, const struct sp_json *root,
                           struct sp_problems *problems)
{
    const struct sp_json *tls = sp_json_find(root, "tls");
    bool has_tls = c->tls.certificate[0] != 0 && c->tls.key[0] != 0;
    bool portal_cert = c->portal.certificate[0] != 0;

    check_listeners(c, sp_json_find(root, "listen"), problems);
    if (c->tls.certificate_count > 0 && !has_tls)
        sp_problem(problems, tls, SP_E_CONFIG_MISSING,
                   "\"certificates\" stand beside a first one: certificate and key must be given");
    if (c->tls.certificate_count >= SP_CONFIG_CERTIFICATES_MAX)
        sp_problem(problems, tls, SP_E_CONFIG_RANGE, "more than %d certificates",
                   SP_CONFIG_CERTIFICATES_MAX);
    if ((c->tls.certificate[0] != 0) != (c->tls.key[0] != 0))
        sp_problem(problems, tls, SP_E_CONFIG_MISSING,
                   "certificate and key are given both or not at all");
    if (portal_cert != (c->portal.key[0] != 0))
        sp_problem(problems, sp_json_find(root, "portal"), SP_E_CONFIG_MISSING,
                   "certificate and key are given both or not at all");
    if (c->portal.listen[0] != 0 && c->portal.url[0] == 0)
        sp_problem(problems, sp_json_find(root, "portal"), SP_E_CONFIG_MISSING,
                   "\"portal.url\" is missing: recipients need an address to open");
    if (c->portal.listen[0] != 0 && !portal_cert && !has_tls)
        sp_problem(problems, sp_json_find(root, "portal"), SP_E_CONFIG_MISSING,
                   "the portal needs a certificate and a key, its own or those of \"tls\"");
    if (c->admin.listen[0] != 0 && !is_loopback(c->admin.listen))
        sp_problem(problems, sp_json_find(root, "admin"), SP_E_CONFIG_RANGE,
                   "\"admin.listen\" is %s: only 127.0.0.0/8 and [::1] are taken, since the page "
                   "asks for no password; let a proxy with one stand before it",
                   c->admin.listen);
    if ((c->sealer.smime_certificate[0] != 0) != (c->sealer.smime_key[0] != 0))
        sp_problem(problems, sp_json_find(root, "sealer"), SP_E_CONFIG_MISSING,
                   "smime_certificate and smime_key are given both or not at all");
    check_smarthosts(c, root, problems);
    if (c->oauth.issuer_count > SP_CONFIG_ISSUERS_MAX)
        sp_problem(problems, sp_json_find(root, "oauth"), SP_E_CONFIG_RANGE, "more than %d issuers",
                   SP_CONFIG_ISSUERS_MAX);
    check_retries(c, root, problems);
    if (c->delivery.retry_max_ms < c->delivery.retry_first_ms)
        sp_problem(problems, sp_json_find(root, "delivery"), SP_E_CONFIG_RANGE,
                   "retry_max is shorter than retry_first");
}

/* Beside an IPv4 listener of the same port the socket of [::] has to leave IPv4 to it: all of IPv4, the kernel knows no less. */
static void warn_of_families(const struct sp_config *c, const struct sp_json *at,
                             struct sp_problems *problems)
{
    static const char any4[] = "0.0.0.0:", any6[] = "[::]:";

    for (size_t i = 0; i < c->listen_count; i++) {
        const char *address = c->listen[i].address, *port = strrchr(address, ':');
        const char *beside = NULL;

        if (strncmp(address, any6, strlen(any6)) != 0 || strcmp(port, ":0") == 0)
            continue;
        for (size_t k = 0; k < c->listen_count; k++) {
            const char *other = c->listen[k].address;

            if (other[0] == '[' || strcmp(strrchr(other, ':'), port) != 0)
                continue;
            beside = other;
            if (strncmp(other, any4, strlen(any4)) == 0)
                break; /* it has the rest */
        }
        if (beside != NULL && strncmp(beside, any4, strlen(any4)) != 0)
            sp_problem_warn(problems, at,
                            "listener %zu: %s takes IPv6 alone, since %s has the same port: this "
                            "machine's other IPv4 addresses have no listener; 0.0.0.0%s instead of "
                            "it takes them all",
                            i, address, beside, port);
    }
}

/* What is allowed and yet worth a word. */
static void warn_together(const struct sp_config *c, const struct sp_json *root,
                          struct sp_problems *problems)
{
    if (!c->resolver.trusted)
        sp_problem_warn(problems, root,
                        "resolver.trusted is false: no domain can prove DANE, so tls:dane is never "
                        "taken");
    for (size_t i = 0; c->resolver.trusted && i < c->resolver.servers.count; i++)
        if (!is_loopback(c->resolver.servers.items[i]))
            sp_problem_warn(problems, sp_json_find(root, "resolver"),
                            "resolver.trusted: whoever stands between us and %s can make DANE say "
                            "what he likes; a validating resolver on loopback is safe",
                            c->resolver.servers.items[i]);
    if (c->portal.listen[0] == 0)
        sp_problem_warn(problems, root, "no portal.listen: the rung portal is never taken");
    if (c->uid_base == 0)
        sp_problem_warn(problems, root,
                        "uid_base is 0: all roles run as one user, so the system keeps no role "
                        "from another's files and memory");
    warn_of_families(c, sp_json_find(root, "listen"), problems);
    for (size_t i = 0; i < c->listen_count; i++)
        if (c->listen[i].plain_ok)
            sp_problem_warn(problems, sp_json_find(root, "listen"),
                            "listener %zu takes mail from loopback without proof: for tests only",
                            i);
}

enum sp_rc sp_config_check_issuers(const struct sp_config *c, size_t tenants, const char *file,
                                   struct sp_problems *problems)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; tenants > 1 && i < c->oauth.issuer_count; i++)
        if (c->oauth.issuers[i].tenant[0] == 0)
            rc = sp_problem_file(problems, file, 0, SP_E_CONFIG_MISSING,
                                 "oauth.issuers[%zu]: \"tenant\" is missing: with %zu tenants, "
                                 "an issuer says whose users it vouches for",
                                 i, tenants);
    return rc;
}

enum sp_rc sp_config_load(struct sp_bytes text, const char *file, struct sp_problems *problems,
                          struct sp_config **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_config) c = NULL;
    size_t before = sp_problems_errors(problems);
    struct sp_err err;
    enum sp_rc rc = sp_json_parse(text, &options, &doc, &err);

    if (rc != SP_OK)
        return sp_problem_file(problems, "", 0, rc, "%s", err.text);
    c = sp_calloc(1, sizeof(*c));
    c->arena = sp_arena_new(4096);
    sp_config_table_read(&table, sp_json_root(doc), c, c->arena, problems);
    if (sp_problems_errors(problems) == before)
        check_together(c, sp_json_root(doc), problems);
    if (sp_problems_errors(problems) > before)
        return sp_problems_rc(problems, NULL);
    warn_together(c, sp_json_root(doc), problems);
    *out = SP_STEAL(c);
    return SP_OK;
}

bool sp_config_has_route(const struct sp_config *c, struct sp_bytes name)
{
    for (size_t i = 0; i < c->delivery.route_count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(c->delivery.routes[i].domain), name))
            return true;
    for (size_t i = 0; i < c->delivery.smarthost_count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(c->delivery.smarthosts[i].route), name))
            return true;
    return false;
}

void sp_config_free(struct sp_config *c)
{
    if (c == NULL)
        return;
    sp_arena_free(c->arena);
    sp_free(c);
}

void sp_config_reference(struct sp_buf *out)
{
    sp_config_table_reference(&table, out);
}

void sp_config_list_settings(struct sp_jw *w)
{
    sp_config_table_list(&table, w);
}
