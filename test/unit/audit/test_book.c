/* The books: records to lines, settling, and nothing lost or doubled by a crash at any place. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/book.h"
#include "audit/contacts.h"
#include "audit/facts.h"
#include "audit/pseudonym.h"
#include "audit/verify.h"
#include "audit/wishes.h"
#include "chain.h"
#include "policy/ladder.h"
#include "store/store.h"
#include "crypt/hash.h"
#include "support/check_main.h"
#include "support/fault_board.h"

#define WALL_MS 1795359845118
#define DAY_MS  ((int64_t)86400000)

static char folder[64];
static char file_path[128];
static char base_path[128];
static struct fake_clock fake;
static struct fake_random numbers;
static struct sp_audit_signer signer;
static struct sp_audit_book *book;
static struct sp_journal_cursor at;
static struct sp_secret facts_key;
static const struct sp_secret address_key = {.b = {9}};
static const struct sp_secret contact_key = {.b = {11}};
static bool hide;

static void open_book(void)
{
    struct sp_audit_book_options options = {.database = base_path,
                                            .file = file_path,
                                            .signer = &signer,
                                            .clock = &fake.clock,
                                            .checkpoint_records = 100,
                                            .facts = &facts_key,
                                            .addresses = hide ? &address_key : NULL,
                                            .contacts = &contact_key,
                                            .contacts_max = 2,
                                            .contacts_keep_ms = 10 * DAY_MS,
                                            .suppressed_max = 2,
                                            .wishes_max = 3};
    struct sp_err err = {0};

    ck_assert_msg(sp_audit_book_open(&options, &book, &err) == SP_OK, "%s", err.text);
}

static void close_book(void)
{
    sp_audit_book_free(book);
    book = NULL;
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/sp-book-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file_path, sizeof(file_path), "%s/audit.jsonl", folder);
    snprintf(base_path, sizeof(base_path), "%s/state.db", folder);
    hide = false;
    fake_clock_init(&fake, WALL_MS);
    fake_random_init(&numbers, 3);
    chain_signer(&signer, 1);
    at = (struct sp_journal_cursor){.segment = 1, .offset = 4096};
    open_book();
}

static void tear_down(void)
{
    static const char *const names[] = {"audit.jsonl",     "audit.jsonl.head",    "audit.jsonl.pub",
                                        "audit.jsonl.new", "audit.jsonl.foreign", "state.db",
                                        "state.db-wal",    "state.db-shm"};
    char path[160];

    close_book();
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static char *read_file(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    char *data = sp_calloc(1, (size_t)size + 1);

    if (fd >= 0) {
        ck_assert_int_eq(pread(fd, data, (size_t)size, 0), size);
        close(fd);
    }
    *len = (size_t)size;
    return data;
}

static struct sp_audit_report verify(void)
{
    char path[160];
    size_t head_len;
    size_t len;
    char *text = read_file(file_path, &len);
    char *head;
    struct sp_audit_report report;

    snprintf(path, sizeof(path), "%s.head", file_path);
    head = read_file(path, &head_len);
    {
        struct sp_audit_ring ring = {0};

        ck_assert(sp_audit_ring_add(&ring, &signer.key));
        SP_AUTO(sp_audit_verifier) v = sp_audit_verifier_new(&ring, sp_bytes(head, head_len));
        sp_audit_verifier_feed(v, sp_bytes(text, len));
        report = *sp_audit_verifier_finish(v);
    }
    sp_free(head);
    sp_free(text);
    return report;
}

static void expect_proved(uint64_t records)
{
    struct sp_audit_report report = verify();

    ck_assert_msg(report.verdict == SP_AUDIT_PROVED, "line %u: %s", (unsigned)report.line,
                  report.why);
    if (records > 0)
        ck_assert_uint_eq(report.records, records);
}

static bool file_has(const char *needle)
{
    size_t len;
    char *text = read_file(file_path, &len);
    bool has = strstr(text, needle) != NULL;

    sp_free(text);
    return has;
}

static size_t count_in_file(const char *needle)
{
    size_t len, count = 0;
    char *text = read_file(file_path, &len);

    for (const char *at_text = text; (at_text = strstr(at_text, needle)) != NULL; at_text++)
        count++;
    sp_free(text);
    return count;
}

static void fold(uint8_t type, const struct sp_id *id, const struct sp_buf *meta)
{
    struct sp_journal_entry entry = {.type = type, .message = *id, .meta = sp_buf_bytes(meta)};
    struct sp_err err = {0};

    entry.place = (struct sp_journal_place){
        .segment = at.segment, .offset = at.offset, .sequence = at.offset / 4096};
    at.offset += 4096;
    ck_assert_msg(sp_audit_book_fold(book, "0", &entry, &at, &err) == SP_OK, "%s", err.text);
}

static void say(const char *event)
{
    ck_assert_int_eq(sp_audit_book_say(book, sp_bytes_cstr(event), NULL), SP_OK);
}

static void commit(void)
{
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
}

/* An event about a message, as a relay writes it. */
static struct sp_bytes event(char *out, size_t len, const struct sp_id *id, const char *name,
                             const char *rest)
{
    char text[SP_ID_TEXT_LEN + 1];

    sp_id_format(id, text);
    snprintf(out, len, "{\"event\":\"%s\",\"message\":\"%s\",\"tenant\":\"h\"%s}", name, text,
             rest);
    return sp_bytes_cstr(out);
}

static struct sp_accept_decision decisions[] = {
    {.does = SP_ACCEPT_DO_PROTECT, .floor = SP_FLOOR_TLS_AUTHENTICATED, .rule = SP_LIT_INIT("phi")},
    {.does = SP_ACCEPT_DO_REJECT, .floor = SP_FLOOR_SEALED, .rule = SP_LIT_INIT("never")},
};

static struct sp_accept_recipient recipients[] = {
    {.address = SP_LIT_INIT("a@b.example"), .decision = 0},
    {.address = SP_LIT_INIT("c@d.example"), .decision = 0},
    {.address = SP_LIT_INIT("e@f.example"), .decision = 1},
};

static struct sp_accept make_accept(const struct sp_id *id, struct sp_bytes *audit, size_t count)
{
    return (struct sp_accept){
        .id = *id,
        .time_ms = WALL_MS,
        .tenant = SP_LIT("h"),
        .sender = SP_LIT("s@h.example"),
        .message_id = SP_LIT("<1@h.example>"),
        .policy = SP_LIT("41f041f041f041f041f041f041f041f041f041f041f041f041f041f041f041f0"),
        .phi = SP_LIT("phi"),
        .decisions = decisions,
        .decision_count = 2,
        .recipients = recipients,
        .recipient_count = 2,
        .audit = {.events = audit, .count = count},
    };
}

static void fold_accept(const struct sp_id *id, size_t recipient_count, size_t first)
{
    char text[512];
    struct sp_bytes audit = event(text, sizeof(text), id, "message.accepted", "");
    struct sp_accept accept = make_accept(id, &audit, 1);
    struct sp_buf meta;

    accept.recipients = recipients + first;
    accept.recipient_count = recipient_count;
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_accept_encode(&accept, &meta), SP_OK);
    fold(SP_RECORD_ACCEPT, id, &meta);
    sp_buf_clear(&meta);
}

struct step {
    const char *event;
    const char *rest;
    uint16_t n;
    uint8_t state;
    uint8_t rung;
    const struct sp_accept *child;
};

static void fold_outcome(const struct sp_id *id, const struct step *step)
{
    char text[1024];
    struct sp_bytes audit = event(text, sizeof(text), id, step->event, step->rest);
    struct sp_result result = {.n = step->n, .state = step->state, .rung = step->rung};
    struct sp_outcome outcome = {.id = *id,
                                 .time_ms = WALL_MS + 1000,
                                 .attempt = 1,
                                 .results = &result,
                                 .result_count = 1,
                                 .audit = {.events = &audit, .count = 1},
                                 .child = step->child};
    struct sp_buf meta;

    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_outcome_encode(&outcome, &meta), SP_OK);
    fold(SP_RECORD_OUTCOME, id, &meta);
    sp_buf_clear(&meta);
}

static struct sp_id new_id(void)
{
    return sp_id_new(&fake.clock, &numbers.random);
}

static const struct step delivered = {
    "delivery.attempted",
    ",\"n\":[0],\"outcome\":\"delivered\",\"hop\":{\"domain\":\"b.example\"},"
    "\"posture\":{\"before\":\"plain\",\"now\":\"tls:dane\"}",
    0,
    SP_RCPT_DELIVERED,
    SP_RUNG_TLS_DANE,
    NULL};

START_TEST(the_largest_message_settles)
{
    struct sp_accept_recipient *many = sp_calloc(SP_RECORD_RECIPIENTS_MAX, sizeof(*many));
    struct sp_result *results = sp_calloc(SP_RECORD_RECIPIENTS_MAX, sizeof(*results));
    struct sp_id id = new_id();
    char text[512];
    struct sp_bytes audit = event(text, sizeof(text), &id, "message.accepted", "");
    struct sp_accept accept = make_accept(&id, &audit, 1);
    struct sp_outcome outcome = {.id = id, .time_ms = WALL_MS, .attempt = 1, .results = results};
    struct sp_buf meta;

    for (size_t n = 0; n < SP_RECORD_RECIPIENTS_MAX; n++) {
        many[n].address = SP_LIT("someone@b.example");
        results[n] = (struct sp_result){
            .n = (uint16_t)n, .state = SP_RCPT_DELIVERED, .rung = SP_RUNG_TLS_AUTHENTICATED};
    }
    accept.recipients = many;
    accept.recipient_count = outcome.result_count = SP_RECORD_RECIPIENTS_MAX;
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_accept_encode(&accept, &meta), SP_OK);
    fold(SP_RECORD_ACCEPT, &id, &meta);
    sp_buf_reset(&meta);
    ck_assert_int_eq(sp_outcome_encode(&outcome, &meta), SP_OK);
    fold(SP_RECORD_OUTCOME, &id, &meta);
    commit();
    ck_assert(file_has("\"event\":\"message.settled\"") && !file_has("audit.gap"));
    expect_proved(0);
    sp_buf_clear(&meta);
    sp_free(results);
    sp_free(many);
}
END_TEST

static size_t contacts_known(void)
{
    struct sp_audit_contact c;
    size_t walk = 0, count = 0;

    while (sp_audit_book_contacts_next(book, &walk, &c))
        count++;
    return count;
}

/* A message that reaches the recipient of this place in the table. */
static void reach(size_t first)
{
    struct sp_id id = new_id();

    fold_accept(&id, 1, first);
    fold_outcome(&id, &delivered);
    commit();
}

START_TEST(contacts_that_are_too_old_make_room_without_a_restart)
{
    uint16_t before = sp_audit_book_contacts(book).oldest;
    struct sp_audit_contact c;

    reach(0);
    fake_clock_advance(&fake, 4 * DAY_MS);
    reach(1);
    ck_assert_uint_eq(contacts_known(), 2);
    ck_assert(sp_audit_book_contacts(book).full);
    reach(2);
    ck_assert_uint_eq(contacts_known(), 2); /* no room */
    while (sp_audit_book_contacts_changed(book, &c))
        ;
    fake_clock_advance(&fake, 7 * DAY_MS);
    reach(2);
    ck_assert_uint_eq(contacts_known(), 2); /* the first has gone */
    ck_assert(sp_audit_book_contacts_changed(book, &c));
    ck_assert_uint_eq(sp_audit_book_contacts(book).oldest, before + 11);
    close_book();
    open_book();
    ck_assert_uint_eq(contacts_known(), 2);
}
END_TEST

START_TEST(a_clock_that_leaps_forgets_no_contact)
{
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    reach(0);
    fake.wall_ms += 1000 * DAY_MS;
    reach(1);
    ck_assert_uint_eq(contacts_known(), 2);
    close_book();
    open_book();
    ck_assert_uint_eq(contacts_known(), 2);
}
END_TEST

START_TEST(a_message_settles_when_its_last_recipient_is_done)
{
    struct step second = delivered;
    struct sp_id id = new_id();
    const struct sp_audit_message *m;

    fold_accept(&id, 2, 0);
    fold_outcome(&id, &delivered);
    commit();
    sp_audit_book_trim(book);
    ck_assert(!file_has("message.settled"));
    second.n = 1;
    second.rest = ",\"n\":[1],\"outcome\":\"delivered\"";
    second.rung = SP_RUNG_TLS_ENCRYPTED;
    fold_outcome(&id, &second);
    sp_audit_book_trim(book); /* lines that wait stay */
    commit();
    ck_assert(file_has("\"event\":\"message.settled\""));
    ck_assert(file_has("\"recipients\":[{\"attempts\":1,\"final\":\"delivered\",\"floor\":"
                       "\"tls:authenticated\",\"floor_met\":true,\"n\":0,\"rule\":\"phi\",\"rung\":"
                       "\"tls:dane\",\"seq\":3}"));
    /* below its floor: never sent so by delivery, but the books would tell it */
    ck_assert(file_has("\"floor_met\":false,\"n\":1"));
    ck_assert_int_eq(sp_audit_book_message(book, &id, &m, NULL), SP_OK);
    ck_assert_uint_eq(m->place_count, 4);
    ck_assert_uint_eq(m->settled_seq, 5);
    expect_proved(5);
}
END_TEST

START_TEST(a_refused_recipient_needs_no_outcome)
{
    struct sp_id id = new_id();

    fold_accept(&id, 1, 2);
    commit();
    ck_assert(file_has("\"final\":\"refused\""));
    ck_assert(file_has("\"rung\":null"));
    expect_proved(3);
}
END_TEST

START_TEST(a_deposit_counts_when_its_notice_is_delivered)
{
    struct sp_id id = new_id();
    struct sp_id notice = new_id();
    char text[512];
    struct sp_bytes audit = event(text, sizeof(text), &notice, "message.accepted", "");
    struct sp_accept child = make_accept(&notice, &audit, 1);
    struct step deposited = {"portal.deposited",
                             ",\"n\":[0],\"package\":\"pkg-1\"",
                             0,
                             SP_RCPT_DEPOSITED,
                             SP_RUNG_PORTAL,
                             &child};

    child.kind = SP_ACCEPT_KIND_NOTICE;
    child.parent = id;
    child.recipient_count = 1;
    fold_accept(&id, 1, 0);
    fold_outcome(&id, &deposited);
    commit();
    ck_assert(!file_has("message.settled"));
    close_book();
    open_book();
    fold_outcome(&notice, &delivered);
    commit();
    ck_assert(file_has("\"event\":\"portal.notified\""));
    ck_assert(file_has("\"package\":\"pkg-1\""));
    ck_assert(file_has("\"final\":\"deposited-and-notified\""));
    ck_assert(file_has("\"copies_left\":[\"portal\"]"));
    expect_proved(0);
}
END_TEST

START_TEST(each_notice_is_told_with_its_own_package)
{
    static const char *const rest[] = {",\"n\":[0],\"package\":\"pkg-1\"",
                                       ",\"n\":[1],\"package\":\"pkg-2\""};
    struct sp_id id = new_id();
    struct sp_id notices[2] = {new_id(), new_id()};

    fold_accept(&id, 2, 0);
    for (uint16_t n = 0; n < 2; n++) {
        char text[512];
        struct sp_bytes audit = event(text, sizeof(text), &notices[n], "message.accepted", "");
        struct sp_accept child = make_accept(&notices[n], &audit, 1);
        struct step deposited = {"portal.deposited", rest[n],        n,
                                 SP_RCPT_DEPOSITED,  SP_RUNG_PORTAL, &child};

        child.kind = SP_ACCEPT_KIND_NOTICE;
        child.parent = id;
        child.recipient_count = 1;
        fold_outcome(&id, &deposited);
    }
    commit();
    close_book();
    open_book();
    fold_outcome(&notices[0], &delivered);
    commit();
    ck_assert_uint_eq(count_in_file("\"package\":\"pkg-1\""), 2); /* deposited, notified */
    ck_assert_uint_eq(count_in_file("\"package\":\"pkg-2\""), 1);
    fold_outcome(&notices[1], &delivered);
    commit();
    ck_assert_uint_eq(count_in_file("\"package\":\"pkg-1\""), 2);
    ck_assert_uint_eq(count_in_file("\"package\":\"pkg-2\""), 2);
    expect_proved(0);
}
END_TEST

START_TEST(a_deposit_whose_notice_fails_settles_as_deposited)
{
    struct sp_id id = new_id();
    struct sp_id notice = new_id();
    struct sp_accept child = make_accept(&notice, NULL, 0);
    struct step deposited = {"portal.deposited", ",\"n\":[0]",   0,
                             SP_RCPT_DEPOSITED,  SP_RUNG_PORTAL, &child};
    struct step failed = {"delivery.attempted", ",\"n\":[0]",     0,
                          SP_RCPT_FAILED,       SP_AUDIT_NO_RUNG, NULL};

    child.kind = SP_ACCEPT_KIND_NOTICE;
    child.parent = id;
    child.recipient_count = 1;
    fold_accept(&id, 1, 0);
    fold_outcome(&id, &deposited);
    fold_outcome(&notice, &failed);
    commit();
    ck_assert(!file_has("portal.notified"));
    ck_assert(file_has("\"final\":\"deposited\""));
}
END_TEST

START_TEST(a_deposit_whose_notice_is_deleted_settles_as_deposited)
{
    struct sp_id id = new_id();
    struct sp_id notice = new_id();
    char texts[2][512];
    struct sp_bytes taken = event(texts[0], sizeof(texts[0]), &notice, "message.accepted", "");
    struct sp_accept child = make_accept(&notice, &taken, 1);
    struct step deposited = {"portal.deposited", ",\"n\":[0]",   0,
                             SP_RCPT_DEPOSITED,  SP_RUNG_PORTAL, &child};
    struct sp_bytes audit =
        event(texts[1], sizeof(texts[1]), &notice, "message.recalled",
              ",\"act\":\"queue.recall\",\"actor\":{\"type\":\"admin\"},\"n\":[0]");
    uint16_t n = 0;
    struct sp_act act = {.id = notice,
                         .time_ms = WALL_MS,
                         .ns = &n,
                         .n_count = 1,
                         .audit = {.events = &audit, .count = 1}};
    struct sp_buf meta;

    child.kind = SP_ACCEPT_KIND_NOTICE;
    child.parent = id;
    child.recipient_count = 1;
    fold_accept(&id, 1, 0);
    fold_outcome(&id, &deposited);
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_act_encode(&act, &meta), SP_OK);
    fold(SP_RECORD_HOLD, &notice, &meta);
    commit();
    ck_assert(!file_has("message.settled"));
    fold(SP_RECORD_DELETE, &notice, &meta);
    commit();
    ck_assert(!file_has("portal.notified"));
    ck_assert(file_has("\"final\":\"deposited\""));
    ck_assert(file_has("\"final\":\"deleted\""));
    ck_assert_uint_eq(count_in_file("message.settled"), 2);
    sp_buf_clear(&meta);
}
END_TEST

START_TEST(a_refusal_with_a_dsn_is_returned_and_the_dsn_settles_too)
{
    struct sp_id id = new_id();
    struct sp_id dsn = new_id();
    char texts[2][512];
    struct sp_bytes audit[] = {event(texts[0], sizeof(texts[0]), &id, "message.accepted", ""),
                               event(texts[1], sizeof(texts[1]), &dsn, "message.accepted", "")};
    struct sp_accept accept = make_accept(&id, audit, 2);
    struct sp_accept child = make_accept(&dsn, NULL, 0);
    const struct sp_audit_message *m;
    struct sp_buf meta;

    child.kind = SP_ACCEPT_KIND_DSN;
    child.parent = id;
    child.recipient_count = 1;
    accept.recipients = recipients + 2;
    accept.recipient_count = 1;
    accept.child = &child;
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_accept_encode(&accept, &meta), SP_OK);
    fold(SP_RECORD_ACCEPT, &id, &meta);
    sp_buf_clear(&meta);
    commit();
    ck_assert(file_has("\"final\":\"returned\""));
    fold_outcome(&dsn, &delivered);
    commit();
    ck_assert_int_eq(sp_audit_book_message(book, &dsn, &m, NULL), SP_OK);
    ck_assert(m != NULL && m->settled_seq != 0);
    ck_assert(file_has("\"kind\":\"dsn\""));
}
END_TEST

START_TEST(held_released_and_deleted_are_followed)
{
    struct sp_id id = new_id();
    char text[512];
    struct sp_bytes audit = event(text, sizeof(text), &id, "admin.acted",
                                  ",\"act\":\"queue.delete\",\"actor\":{\"type\":\"admin\"}");
    struct sp_act act = {.id = id, .time_ms = WALL_MS, .audit = {.events = &audit, .count = 1}};
    struct sp_buf meta;

    fold_accept(&id, 2, 0);
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_act_encode(&act, &meta), SP_OK);
    fold(SP_RECORD_HOLD, &id, &meta);
    fold(SP_RECORD_RELEASE, &id, &meta);
    commit();
    ck_assert(!file_has("message.settled"));
    fold(SP_RECORD_DELETE, &id, &meta);
    commit();
    ck_assert(file_has("\"final\":\"deleted\""));
    sp_buf_clear(&meta);
}
END_TEST

START_TEST(what_is_no_event_becomes_a_gap)
{
    struct sp_id id = new_id();
    struct sp_bytes audit[] = {SP_LIT_INIT("{\"event\":\"message.eaten\"}"),
                               SP_LIT_INIT("{\"event\":\"config.changed\"}")};
    struct sp_act act = {.time_ms = WALL_MS, .audit = {.events = audit, .count = 2}};
    struct sp_buf meta;

    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_act_encode(&act, &meta), SP_OK);
    fold(SP_RECORD_ACT, &id, &meta);
    meta.len--;
    fold(SP_RECORD_ACT, &id, &meta);
    commit();
    ck_assert(file_has("event-malformed"));
    ck_assert(file_has("config.changed"));
    ck_assert(file_has("record-malformed"));
    expect_proved(4);
    sp_buf_clear(&meta);
}
END_TEST

START_TEST(a_segment_without_a_record_is_passed_too)
{
    struct sp_journal_cursor next = {7, 4096};
    struct sp_id id = new_id();

    fold_accept(&id, 1, 2);
    commit();
    ck_assert(!sp_audit_book_has_work(book));
    ck_assert_int_eq(sp_audit_book_move(book, "0", &next, NULL), SP_OK);
    ck_assert(sp_audit_book_has_work(book));
    commit();
    close_book();
    open_book();
    ck_assert_int_eq(sp_audit_book_cursor(book, "0", &at, NULL), SP_OK);
    ck_assert_uint_eq(at.segment, 7);
    ck_assert_uint_eq(at.offset, 4096);
}
END_TEST

START_TEST(what_was_not_committed_is_folded_again_without_a_gap_or_a_double)
{
    struct sp_id first = new_id();
    struct sp_id second = new_id();
    struct sp_journal_cursor kept;

    fold_accept(&first, 1, 2);
    commit();
    kept = at;
    fold_accept(&second, 1, 2);
    close_book();
    open_book();
    ck_assert_int_eq(sp_audit_book_cursor(book, "0", &at, NULL), SP_OK);
    ck_assert_uint_eq(at.offset, kept.offset);
    fold_accept(&second, 1, 2);
    commit();
    expect_proved(6);
}
END_TEST

/* An accept record with facts to keep. */
static enum sp_rc fold_facts(const struct sp_id *id)
{
    char text[512];
    struct sp_bytes audit = event(text, sizeof(text), id, "message.accepted", "");
    struct sp_accept accept = make_accept(id, &audit, 1);
    struct sp_journal_entry entry = {.type = SP_RECORD_ACCEPT, .message = *id};
    struct sp_buf meta;
    enum sp_rc rc;

    accept.facts = SP_LIT("{\"phi.class\":\"none\"}");
    sp_buf_init(&meta, SP_RECORD_META_MAX);
    ck_assert_int_eq(sp_accept_encode(&accept, &meta), SP_OK);
    entry.meta = sp_buf_bytes(&meta);
    entry.place = (struct sp_journal_place){.segment = at.segment, .offset = at.offset};
    at.offset += 4096;
    rc = sp_audit_book_fold(book, "0", &entry, &at, NULL);
    sp_buf_clear(&meta);
    return rc;
}

static void count_fact(void *arg, const struct sp_audit_fact *fact)
{
    (void)fact;
    ++*(size_t *)arg;
}

static size_t facts_known(void)
{
    size_t count = 0;
    struct sp_audit_facts_ask ask = {.fn = count_fact, .arg = &count};

    ck_assert_int_eq(sp_audit_book_facts(book, &ask, NULL), SP_OK);
    return count;
}

START_TEST(facts_go_in_time_and_by_no_clock_that_leaps)
{
    struct sp_id first = new_id(), second = new_id();

    ck_assert_int_eq(fold_facts(&first), SP_OK);
    commit();
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    fake.wall_ms += 1000 * DAY_MS;
    close_book();
    open_book();
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    ck_assert_uint_eq(facts_known(), 1);
    fake.wall_ms -= 1000 * DAY_MS;
    fake_clock_advance(&fake, 89 * DAY_MS);
    ck_assert_int_eq(fold_facts(&second), SP_OK);
    commit();
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    ck_assert_uint_eq(facts_known(), 2);
    fake_clock_advance(&fake, 2 * DAY_MS);
    say("{\"event\":\"audit.gap\",\"why\":\"x\"}");
    commit();
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    ck_assert_uint_eq(facts_known(), 0); /* without a restart */
}
END_TEST

static enum sp_rc try_accept(const struct sp_id *id)
{
    struct sp_journal_entry entry = {.type = SP_RECORD_ACCEPT, .message = *id, .damaged = true};

    entry.place = (struct sp_journal_place){.segment = at.segment, .offset = at.offset};
    at.offset += 4096;
    return sp_audit_book_fold(book, "0", &entry, &at, NULL);
}

START_TEST(after_a_failure_of_the_database_nothing_is_passed_over)
{
    static const char *const points[] = {"store.begin", "store.step", "store.prepare",
                                         "store.commit"};

    for (size_t i = 0; i < SP_ARRAY_LEN(points); i++) {
        struct sp_id first = new_id(), second = new_id();
        struct sp_journal_cursor kept;
        enum sp_rc rc;

        fold_accept(&first, 1, 2);
        commit();
        kept = at;
        close_book(); /* statements are compiled anew */
        open_book();
        if (!fault_board_arm(points[i], 1))
            return;
        rc = try_accept(&second);
        if (rc == SP_OK)
            rc = sp_audit_book_commit(book, NULL);
        ck_assert_msg(fault_board_struck() && rc == SP_E_STORE_FAILED, "%s", points[i]);
        ck_assert(sp_audit_book_is_broken(book));
        ck_assert_int_eq(try_accept(&second), SP_E_STORE_FAILED); /* not the next one alone */
        if (sp_audit_book_has_work(book))
            ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_E_STORE_FAILED);
        fault_board_end();
        close_book();
        open_book();
        ck_assert_int_eq(sp_audit_book_cursor(book, "0", &at, NULL), SP_OK);
        ck_assert_uint_eq(at.offset, kept.offset);
        fold_accept(&second, 1, 2);
        commit();
        expect_proved(0);
        ck_assert_uint_eq(sp_audit_book_status(book).last_seq, verify().records);
    }
}
END_TEST

START_TEST(a_record_of_which_half_was_taken_is_taken_anew)
{
    struct sp_id first = new_id(), second = new_id();
    struct sp_journal_cursor kept;
    unsigned failures = 0;

    fold_accept(&first, 1, 2);
    commit();
    kept = at;
    for (uint64_t n = 1; fault_board_arm("memory.large", n); n++) {
        enum sp_rc rc = fold_facts(&second);
        bool struck = fault_board_struck();

        fault_board_end();
        if (rc == SP_E_IO) { /* its lines are told, its facts are not kept */
            failures++;
            ck_assert(sp_audit_book_is_broken(book));
            ck_assert_int_ne(fold_facts(&second), SP_OK);
        }
        close_book();
        open_book();
        ck_assert_int_eq(sp_audit_book_cursor(book, "0", &at, NULL), SP_OK);
        ck_assert_uint_eq(at.offset, kept.offset);
        if (!struck)
            break;
    }
    ck_assert_int_eq(fold_facts(&second), SP_OK);
    commit();
    expect_proved(0);
    ck_assert_uint_eq(sp_audit_book_status(book).last_seq, verify().records);
    ck_assert_msg(failures > 0, "no fault point was met");
}
END_TEST

static size_t suppressed(void)
{
    struct sp_audit_suppressed s;
    size_t count = 0, walk = 0;

    while (sp_audit_book_suppressed_next(book, &walk, &s))
        count++;
    return count;
}

static void suppress(const char *address, const char *change, const char *until)
{
    char text[512];
    struct sp_audit_suppressed s;

    snprintf(text, sizeof(text),
             "{\"event\":\"list.changed\",\"list\":\"suppression\",\"change\":\"%s\","
             "\"address\":\"%s\",\"why\":\"hop.refused\",\"actor\":{}%s%s%s}",
             change, address, until[0] == 0 ? "" : ",\"until\":\"", until,
             until[0] == 0 ? "" : "\"");
    say(text);
    commit();
    while (sp_audit_book_suppressed_changed(book, &s))
        ;
}

START_TEST(addresses_whose_time_is_over_make_room)
{
    suppress("a@x.example", "added", "2026-11-22T15:04:06.000Z");
    suppress("b@x.example", "added", "");
    suppress("c@x.example", "added", "");
    ck_assert_uint_eq(suppressed(), 2); /* full */
    fake_clock_advance(&fake, 5000);
    ck_assert_uint_eq(suppressed(), 1);
    suppress("c@x.example", "added", "");
    ck_assert_uint_eq(suppressed(), 2);
    suppress("d@x.example", "added", "");
    ck_assert_uint_eq(suppressed(), 2);
    suppress("b@x.example", "removed", "");
    suppress("d@x.example", "added", "");
    ck_assert_uint_eq(suppressed(), 2);
    close_book();
    open_book(); /* the database has no more of them */
    ck_assert_uint_eq(suppressed(), 2);
    suppress("e@x.example", "added", "");
    ck_assert_uint_eq(suppressed(), 2);
}
END_TEST

static void choose(const char *tenant, const char *to, const char *what, const char *until)
{
    char text[600];

    snprintf(text, sizeof(text),
             "{\"event\":\"preference.changed\",\"tenant\":\"%s\",\"recipient\":\"%s\",\"source\":"
             "\"recipient\",\"change\":\"%s\",\"entry\":{\"preference\":\"%s\",\"given\":"
             "\"2026-11-22T15:00:00.000Z\",\"until\":\"%s\"},\"actor\":{\"type\":\"recipient\"}}",
             tenant, to, what[0] == 0 ? "removed" : "set", what, until);
    say(text);
}

static bool put_wish(void *arg, const struct sp_audit_wish *w)
{
    struct sp_buf *out = arg;

    sp_buf_printf(out, "%.*s/%.*s=%s ", SP_FMT(w->tenant), SP_FMT(w->address),
                  sp_fact_value_name(SP_FACT_RECIPIENT_PREFERENCE, w->wish.preference));
    return out->len < 200;
}

static const char *wishes(const char *behind_tenant, const char *behind)
{
    static char text[512];
    struct sp_buf out;

    sp_buf_init(&out, sizeof(text) - 1);
    ck_assert_int_eq(sp_audit_book_wishes(book, sp_bytes_cstr(behind_tenant), sp_bytes_cstr(behind),
                                          put_wish, &out, NULL),
                     SP_OK);
    memcpy(text, out.ptr == NULL ? (uint8_t *)"" : out.ptr, out.len);
    text[out.len] = 0;
    sp_buf_clear(&out);
    return text;
}

START_TEST(what_recipients_chose_is_remembered_while_it_holds)
{
    static const char later[] = "2027-11-22T15:00:00.000Z", soon[] = "2026-11-22T15:04:06.000Z";
    struct sp_audit_wish w;
    struct sp_fact_wish found;

    choose("clinic", "Pat@example.net", "portal", later);
    choose("ward", "pat@example.net", "tls", soon);
    choose("clinic", "ann@example.net", "sealed", later);
    choose("clinic", "bad@example.net", "plain", later); /* nobody's to choose */
    choose("clinic", "odd@example.net", "portal", "some day");
    say("{\"event\":\"preference.changed\",\"recipient\":\"reg@example.net\",\"change\":\"set\","
        "\"entry\":{\"preference\":\"portal\"},\"actor\":{}}"); /* of the registry */
    commit();
    ck_assert_str_eq(wishes("", ""), "clinic/ann@example.net=sealed clinic/pat@example.net=portal "
                                     "ward/pat@example.net=tls ");
    ck_assert_str_eq(wishes("clinic", "ann@example.net"),
                     "clinic/pat@example.net=portal ward/pat@example.net=tls ");
    ck_assert(sp_audit_book_wish_changed(book, &w));
    ck_assert(sp_bytes_eq(w.address, SP_LIT("pat@example.net")) && !w.removed);
    while (sp_audit_book_wish_changed(book, &w))
        ;
    choose("clinic", "PAT@example.net", "", "");
    commit();
    ck_assert(sp_audit_book_wish_changed(book, &w) && w.removed &&
              sp_bytes_eq(w.tenant, SP_LIT("clinic")));
    ck_assert(!sp_audit_book_wish_changed(book, &w));
    close_book();
    open_book(); /* across restarts */
    ck_assert_str_eq(wishes("", ""), "clinic/ann@example.net=sealed ward/pat@example.net=tls ");
    ck_assert_int_eq(
        sp_audit_book_wish_find(book, SP_LIT("ward"), SP_LIT("PAT@example.net"), &found, NULL),
        SP_OK);
    ck_assert_int_eq(found.preference, SP_PREFERENCE_TLS);
    fake_clock_advance(&fake, 5000);
    ck_assert_int_eq(
        sp_audit_book_wish_find(book, SP_LIT("ward"), SP_LIT("pat@example.net"), &found, NULL),
        SP_E_NOT_FOUND);
    ck_assert_str_eq(wishes("", ""), "clinic/ann@example.net=sealed ");
}
END_TEST

static enum sp_rc fits(const char *tenant, const char *address)
{
    struct sp_err err = {0};

    return sp_audit_book_wish_fits(book, sp_bytes_cstr(tenant), sp_bytes_cstr(address), &err);
}

START_TEST(a_full_table_of_choices_locks_nobody_out_who_stands_in_it)
{
    static const char later[] = "2027-11-22T15:00:00.000Z", soon[] = "2026-11-22T15:04:06.000Z";

    choose("clinic", "pat@example.net", "portal", later);
    choose("clinic", "ann@example.net", "sealed", later);
    ck_assert_int_eq(fits("clinic", "lee@example.net"), SP_OK);
    choose("ward", "pat@example.net", "tls", soon);
    ck_assert_int_eq(fits("clinic", "lee@example.net"), SP_E_LIMIT);
    ck_assert_int_eq(fits("ward", "ann@example.net"), SP_E_LIMIT); /* of another tenant */
    ck_assert_int_eq(fits("clinic", "Ann@example.net"), SP_OK);
    choose("clinic", "ann@example.net", "portal", later);
    commit();
    ck_assert_str_eq(wishes("", ""), "clinic/ann@example.net=portal clinic/pat@example.net=portal "
                                     "ward/pat@example.net=tls ");
    fake_clock_advance(&fake, 5000); /* one is over, and makes room */
    ck_assert_int_eq(fits("clinic", "lee@example.net"), SP_OK);
    choose("clinic", "lee@example.net", "tls", later);
    ck_assert_int_eq(fits("ward", "pat@example.net"), SP_E_LIMIT);
    choose("clinic", "lee@example.net", "", "");
    ck_assert_int_eq(fits("ward", "pat@example.net"), SP_OK);
    commit();
    expect_proved(0);
}
END_TEST

START_TEST(a_file_cut_anywhere_in_its_last_batch_is_mended)
{
    struct sp_id id = new_id();
    size_t before;
    size_t after;
    size_t len;
    char *whole;
    char *text;

    sp_free(read_file(file_path, &before));
    fold_accept(&id, 1, 2);
    commit();
    close_book();
    whole = read_file(file_path, &after);
    for (size_t cut = before; cut <= after; cut += 1 + (after - before) / 40) {
        ck_assert_int_eq(truncate(file_path, (off_t)cut), 0);
        open_book();
        close_book();
        text = read_file(file_path, &len);
        ck_assert_uint_gt(len, after);
        ck_assert_int_eq(memcmp(text, whole, after), 0);
        sp_free(text);
        expect_proved(0);
        /* back to the state before: the database has moved on, so the file may only lose its newest batch */
        sp_free(whole);
        whole = read_file(file_path, &after);
        before = after - 60;
        cut = before;
        if (len > 20000)
            break;
    }
    sp_free(whole);
    open_book();
}
END_TEST

START_TEST(a_torn_end_with_other_bytes_is_written_again)
{
    struct sp_id id = new_id();
    size_t after;
    char *whole;
    char *text;
    size_t len;
    int fd;

    fold_accept(&id, 1, 2);
    commit();
    close_book();
    whole = read_file(file_path, &after);
    fd = open(file_path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "\0\0\0\0", 4, (off_t)after - 30), 4);
    close(fd);
    open_book();
    text = read_file(file_path, &len);
    ck_assert_int_eq(memcmp(text, whole, after), 0);
    expect_proved(0);
    sp_free(text);
    sp_free(whole);
}
END_TEST

START_TEST(bytes_that_nobody_here_wrote_are_moved_aside_and_reported)
{
    char path[160];
    size_t len;
    char *aside;
    int fd;

    close_book();
    fd = open(file_path, O_WRONLY | O_APPEND);
    ck_assert_int_eq(write(fd, "{\"event\":\"forged\"}\n", 19), 19);
    close(fd);
    open_book();
    ck_assert(file_has("file-foreign"));
    ck_assert(!file_has("forged"));
    snprintf(path, sizeof(path), "%s.foreign", file_path);
    aside = read_file(path, &len);
    ck_assert_str_eq(aside, "{\"event\":\"forged\"}\n");
    sp_free(aside);
    expect_proved(3);
}
END_TEST

START_TEST(a_file_that_lost_old_lines_is_reported_and_not_proved)
{
    struct sp_id id = new_id();

    fold_accept(&id, 1, 2);
    commit();
    fold_accept(&id, 1, 2);
    commit();
    close_book();
    ck_assert_int_eq(truncate(file_path, 100), 0);
    open_book();
    ck_assert(file_has("file-short"));
    ck_assert_int_ne(verify().verdict, SP_AUDIT_PROVED);
}
END_TEST

START_TEST(checkpoints_come_by_time_and_by_number)
{
    ck_assert(!sp_audit_book_checkpoint_is_due(book));
    fake_clock_advance(&fake, 60001);
    ck_assert(sp_audit_book_checkpoint_is_due(book));
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    ck_assert(!sp_audit_book_checkpoint_is_due(book));
    ck_assert(sp_audit_book_checkpoint_at(book) == INT64_MAX);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(sp_audit_book_say(book, SP_LIT("{\"event\":\"config.changed\"}"), NULL),
                         SP_OK);
    ck_assert(sp_audit_book_checkpoint_is_due(book));
    ck_assert_int_eq(sp_audit_book_stop(book, NULL), SP_OK);
    expect_proved(104);
    ck_assert_uint_eq(verify().checkpoints, 2);
}
END_TEST

START_TEST(what_a_domain_has_proved_is_remembered_and_only_rises)
{
    struct step lower = delivered;
    struct sp_audit_posture p;
    struct sp_id id = new_id();
    size_t walk = 0;

    fold_accept(&id, 2, 0);
    fold_outcome(&id, &delivered);
    lower.rest =
        ",\"n\":[1],\"hop\":{\"domain\":\"b.example\"},\"posture\":{\"now\":\"tls:encrypted\"}";
    fold_outcome(&id, &lower);
    ck_assert(sp_audit_book_posture_changed(book, &p));
    ck_assert(sp_bytes_eq(p.domain, SP_LIT("b.example")));
    ck_assert_int_eq(p.best, SP_FLOOR_TLS_DANE);
    ck_assert(!sp_audit_book_posture_changed(book, &p));
    commit();
    close_book();
    open_book();
    ck_assert(sp_audit_book_posture_next(book, &walk, &p));
    ck_assert_int_eq(p.best, SP_FLOOR_TLS_DANE);
    ck_assert(!sp_audit_book_posture_next(book, &walk, &p));
}
END_TEST

static void say_forgotten(void)
{
    say("{\"event\":\"transport.posture-accepted\",\"domain\":\"b.example\",\"reason\":\"x\","
        "\"actor\":{},\"posture\":{\"now\":\"never-seen\"}}");
}

struct walk {
    char text[512];
};

static bool show_host(void *arg, const struct sp_audit_posture *p)
{
    struct walk *w = arg;
    size_t len = strlen(w->text);

    ck_assert(sp_bytes_eq(p->domain, SP_LIT("b.example")));
    (void)snprintf(w->text + len, sizeof(w->text) - len, "%.*s %s %.*s %.*s\n", SP_FMT(p->host),
                   p->proved_at_ms == 0 ? "never" : sp_floor_name(p->best), SP_FMT(p->now),
                   SP_FMT(p->evidence));
    return true;
}

static void expect_hosts(const char *text)
{
    struct walk w = {""};

    (void)sp_audit_book_posture_hosts(book, SP_LIT("b.example"), show_host, &w);
    ck_assert_str_eq(w.text, text);
}

static void see(const struct sp_id *id, const char *host, const char *now, const char *evidence)
{
    struct step step = delivered;
    char rest[512];

    (void)snprintf(rest, sizeof(rest),
                   ",\"n\":[1],\"hop\":{\"domain\":\"b.example\",\"mx\":\"%s\"},"
                   "\"posture\":{\"now\":\"%s\"},\"evidence\":[%s]",
                   host, now, evidence);
    step.rest = rest;
    fold_outcome(id, &step);
}

START_TEST(each_host_has_its_own_best_beside_the_domains)
{
    static const char all[] = "mx1.b.example tls:dane tls:encrypted chain:1 tlsa:1\n"
                              "mx3.b.example never plain \n"
                              "mx2.b.example tls:encrypted broken chain:2\n";
    struct sp_audit_posture p;
    struct sp_id id = new_id();

    fold_accept(&id, 2, 0);
    see(&id, "mx0.b.example", "plain", ""); /* of a domain of which nothing is known */
    see(&id, "mx1.b.example", "tls:dane", "\"chain:1\",\"tlsa:1\"");
    see(&id, "mx1.b.example", "tls:encrypted", "\"chain:3\"");
    see(&id, "mx3.b.example", "plain", "");
    see(&id, "mx2.b.example", "tls:encrypted", "\"chain:2\"");
    see(&id, "mx2.b.example", "broken", "\"chain:2\"");
    expect_hosts(all);
    commit();
    close_book();
    open_book();
    ck_assert(sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    ck_assert_int_eq(p.best, SP_FLOOR_TLS_DANE);
    ck_assert(sp_bytes_eq(p.host, SP_LIT("mx1.b.example")));
    ck_assert_uint_eq(
        sp_audit_book_posture_hosts(book, SP_LIT("b.example"), show_host, &(struct walk){""}), 3);
    /* an attempt that asked several hosts tells of each; not of one that could not be had */
    see(&id,
        "mx1.b.example\",\"asked\":[{\"mx\":\"mx1.b.example\",\"shown\":\"tls:dane\"},"
        "{\"mx\":\"mx4.b.example\",\"shown\":\"tls:verified\"},"
        "{\"mx\":\"mx5.b.example\",\"shown\":\"hop.unreachable\"}],\"x\":\"",
        "tls:dane", "\"chain:1\",\"tlsa:1\"");
    ck_assert_uint_eq(
        sp_audit_book_posture_hosts(book, SP_LIT("b.example"), show_host, &(struct walk){""}), 4);
    for (int i = 0; i < 40; i++) { /* who was not seen for longest makes room */
        char name[64];

        (void)snprintf(name, sizeof(name), "many%d.b.example", i);
        see(&id, name, "tls:encrypted", "");
    }
    ck_assert_uint_eq(
        sp_audit_book_posture_hosts(book, SP_LIT("b.example"), show_host, &(struct walk){""}), 32);
    say_forgotten();
    commit();
    expect_hosts("");
    close_book();
    open_book();
    expect_hosts("");
}
END_TEST

#define POLICY "version: STSv1\\nmode: enforce\\nmx: mx.b.example\\nmax_age: 86400\\n"

static const char *sts_event(const char *fetched, const char *id)
{
    static char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{\"event\":\"evidence.recorded\",\"digest\":\"sts:00\",\"kind\":\"sts\","
                   "\"object\":\"" POLICY "\",\"sts\":{\"domain\":\"b.example\",\"id\":\"%s\","
                   "\"fetched\":\"%s\",\"until\":\"2026-12-01T00:00:00.000Z\"}}",
                   id, fetched);
    return text;
}

static bool count_one(void *arg, const struct sp_audit_posture *p)
{
    ck_assert(sp_bytes_eq(p->domain, SP_LIT("b.example")));
    (*(unsigned *)arg)++;
    return true;
}

START_TEST(a_policy_outlives_restarts_and_only_a_later_one_replaces_it)
{
    struct sp_audit_posture p;
    unsigned pages = 0;

    say(sts_event("2026-11-02T00:00:00.000Z", "2"));
    say(sts_event("2026-11-01T00:00:00.000Z", "1"));
    commit();
    close_book();
    open_book();
    ck_assert(sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    ck_assert(sp_bytes_eq(p.sts_id, SP_LIT("2")));
    ck_assert(sp_bytes_starts_nocase(p.sts, SP_LIT("version: STSv1\nmode: enforce\n")));
    ck_assert_int_eq(p.best, SP_FLOOR_PLAIN);
    ck_assert_int_eq(p.proved_at_ms, 0);
    ck_assert_int_eq(sp_audit_book_postures(book, SP_LIT(""), count_one, &pages, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_postures(book, SP_LIT("b.example"), count_one, &pages, NULL),
                     SP_OK);
    ck_assert_uint_eq(pages, 1);
}
END_TEST

static const char *renewed_event(const char *digest, const char *fetched)
{
    static char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{\"event\":\"evidence.renewed\",\"digest\":\"%s\",\"kind\":\"sts\","
                   "\"sts\":{\"domain\":\"b.example\",\"id\":\"9\","
                   "\"fetched\":\"%s\",\"until\":\"2026-12-09T00:00:00.000Z\"}}",
                   digest, fetched);
    return text;
}

START_TEST(a_policy_that_is_shown_again_binds_for_longer)
{
    struct sp_audit_posture p;
    char digest[80], hex[65];
    uint8_t sum[SP_SHA256_LEN];

    sp_crypt_sha256(SP_LIT("version: STSv1\nmode: enforce\nmx: mx.b.example\nmax_age: 86400\n"),
                    sum);
    for (size_t i = 0; i < sizeof(sum); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    (void)snprintf(digest, sizeof(digest), "sts:%s", hex);
    say(renewed_event(digest, "2026-11-01T00:00:00.000Z")); /* of one that is not known */
    commit();
    ck_assert(!sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    say(sts_event("2026-11-02T00:00:00.000Z", "2"));
    say(renewed_event("sts:00", "2026-11-03T00:00:00.000Z")); /* another one */
    say(renewed_event(digest, "2026-11-01T00:00:00.000Z"));   /* it was fetched before */
    commit();
    ck_assert(sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    ck_assert(sp_bytes_eq(p.sts_id, SP_LIT("2")));
    ck_assert(sp_audit_book_policy_is(book, SP_LIT("b.example"), sp_bytes_cstr(digest)));
    ck_assert(!sp_audit_book_policy_is(book, SP_LIT("b.example"), SP_LIT("sts:00")));
    ck_assert(!sp_audit_book_policy_is(book, SP_LIT("c.example"), sp_bytes_cstr(digest)));
    say(renewed_event(digest, "2026-11-03T00:00:00.000Z"));
    commit();
    close_book();
    open_book();
    ck_assert(sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    ck_assert(sp_bytes_eq(p.sts_id, SP_LIT("9")));
    ck_assert(sp_bytes_starts_nocase(p.sts, SP_LIT("version: STSv1\nmode: enforce\n")));
    ck_assert_int_eq(p.sts_until_ms - p.sts_fetched_at_ms, (int64_t)36 * 24 * 3600 * 1000);
}
END_TEST

/* The books lose the index of ids, as if it had not been there when they were written. */
static void drop_index(void)
{
    static const struct sp_store_migration none[20] = {{"", ""}};
    struct sp_store_options options = {.migrations = none, .migration_count = 1};
    struct sp_store *store = NULL;

    close_book();
    while (sp_store_open(base_path, &options, &store, NULL) != SP_OK)
        ck_assert_uint_lt(++options.migration_count, SP_ARRAY_LEN(none));
    ck_assert_int_eq(sp_store_exec(store, "DELETE FROM origin", NULL), SP_OK);
    sp_store_free(store);
    open_book();
}

static size_t found(enum sp_audit_named by, const char *text, struct sp_audit_found *out)
{
    ck_assert_int_eq(sp_audit_book_find(book, by, sp_bytes_cstr(text), out, NULL), SP_OK);
    return out->count;
}

START_TEST(a_message_is_found_by_the_ids_that_others_gave_it)
{
    struct sp_id first = new_id();
    struct sp_id second;
    struct sp_audit_found f;

    fold_accept(&first, 1, 0);
    fake_clock_advance(&fake, 5);
    second = new_id();
    fold_accept(&second, 1, 0);
    ck_assert_uint_eq(found(SP_AUDIT_BY_MESSAGE_ID, "<1@h.example>", &f), 2);
    commit();
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_eq(found(SP_AUDIT_BY_MESSAGE_ID, "1@h.example", &f), 2);
        ck_assert_msg(sp_id_eq(&f.ids[0], &second) && sp_id_eq(&f.ids[1], &first), "newest first");
        ck_assert_uint_eq(found(SP_AUDIT_BY_MESSAGE_ID, " <1@h.example> ", &f), 2);
        ck_assert_uint_eq(found(SP_AUDIT_BY_MESSAGE_ID, "1@H.example", &f), 0);
        ck_assert_uint_eq(found(SP_AUDIT_BY_NETWORK_ID, "1@h.example", &f), 0);
        ck_assert_uint_eq(found(SP_AUDIT_BY_MESSAGE_ID, "", &f), 0);
        drop_index();
    }
}
END_TEST

START_TEST(a_forgotten_domain_has_neither_level_nor_policy)
{
    struct sp_audit_posture p;
    struct sp_id id = new_id();

    fold_accept(&id, 2, 0);
    fold_outcome(&id, &delivered);
    say(sts_event("2026-11-02T00:00:00.000Z", "2"));
    say_forgotten();
    commit();
    close_book();
    open_book();
    ck_assert(sp_audit_book_posture_find(book, SP_LIT("b.example"), &p));
    ck_assert_int_eq(p.proved_at_ms, 0);
    ck_assert_uint_eq(p.sts.len, 0);
    ck_assert(p.accepted_at_ms > 0);
}
END_TEST

static void expect_revealed(const struct sp_buf *pseudonym, const char *address)
{
    struct sp_buf text;

    sp_buf_init(&text, 512);
    ck_assert_int_eq(sp_audit_book_reveal(book, sp_buf_bytes(pseudonym), &text, NULL), SP_OK);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&text), sp_bytes_cstr(address)), "%.*s",
                  SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

START_TEST(addresses_are_hidden_in_lines_and_known_to_the_books)
{
    struct sp_buf pseudonym, stranger;
    char *text;
    size_t len;

    close_book();
    hide = true;
    open_book();
    suppress("Bob@x.example", "added", "");
    suppress("bob@x.example", "added", "");
    sp_buf_init(&pseudonym, 64);
    sp_buf_init(&stranger, 64);
    sp_audit_pseudonym_format(&address_key, SP_LIT("bob@X.example"), &pseudonym);
    sp_audit_pseudonym_format(&address_key, SP_LIT("eve@x.example"), &stranger);
    ck_assert(!file_has("ob@x") && file_has("\"address\":{\"domain\":\"x.example\",\"h\":\"k"));
    sp_buf_put_u8(&pseudonym, 0);
    ck_assert(file_has((const char *)pseudonym.ptr));
    pseudonym.len--;
    ck_assert_uint_eq(suppressed(), 1); /* what is learnt from lines has the address */
    for (int round = 0; round < 2; round++) {
        expect_revealed(&pseudonym, "Bob@x.example"); /* as it came first */
        ck_assert_int_eq(sp_audit_book_reveal(book, sp_buf_bytes(&stranger), &stranger, NULL),
                         SP_E_NOT_FOUND);
        close_book();
        hide = false; /* what is hidden stays known when the setting goes */
        open_book();
    }
    suppress("bob@x.example", "removed", "");
    ck_assert(file_has("bob@x.example"));
    expect_proved(0);
    text = read_file(base_path, &len);
    ck_assert_ptr_null(memmem(text, len, "Bob@x.example", 13)); /* sealed */
    sp_free(text);
    sp_buf_clear(&pseudonym);
    sp_buf_clear(&stranger);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_policy_outlives_restarts_and_only_a_later_one_replaces_it);
    tcase_add_test(c, a_policy_that_is_shown_again_binds_for_longer);
    tcase_add_test(c, a_forgotten_domain_has_neither_level_nor_policy);
    tcase_add_test(c, a_message_is_found_by_the_ids_that_others_gave_it);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, addresses_are_hidden_in_lines_and_known_to_the_books);
    tcase_add_test(c, contacts_that_are_too_old_make_room_without_a_restart);
    tcase_add_test(c, a_clock_that_leaps_forgets_no_contact);
    tcase_add_test(c, the_largest_message_settles);
    tcase_add_test(c, a_message_settles_when_its_last_recipient_is_done);
    tcase_add_test(c, a_refused_recipient_needs_no_outcome);
    tcase_add_test(c, a_deposit_counts_when_its_notice_is_delivered);
    tcase_add_test(c, each_notice_is_told_with_its_own_package);
    tcase_add_test(c, a_deposit_whose_notice_fails_settles_as_deposited);
    tcase_add_test(c, a_deposit_whose_notice_is_deleted_settles_as_deposited);
    tcase_add_test(c, a_refusal_with_a_dsn_is_returned_and_the_dsn_settles_too);
    tcase_add_test(c, held_released_and_deleted_are_followed);
    tcase_add_test(c, what_is_no_event_becomes_a_gap);
    tcase_add_test(c, a_segment_without_a_record_is_passed_too);
    tcase_add_test(c, what_was_not_committed_is_folded_again_without_a_gap_or_a_double);
    tcase_add_test(c, facts_go_in_time_and_by_no_clock_that_leaps);
    tcase_add_test(c, after_a_failure_of_the_database_nothing_is_passed_over);
    tcase_add_test(c, a_record_of_which_half_was_taken_is_taken_anew);
    tcase_add_test(c, addresses_whose_time_is_over_make_room);
    tcase_add_test(c, what_recipients_chose_is_remembered_while_it_holds);
    tcase_add_test(c, a_full_table_of_choices_locks_nobody_out_who_stands_in_it);
    tcase_add_test(c, a_file_cut_anywhere_in_its_last_batch_is_mended);
    tcase_add_test(c, a_torn_end_with_other_bytes_is_written_again);
    tcase_add_test(c, bytes_that_nobody_here_wrote_are_moved_aside_and_reported);
    tcase_add_test(c, a_file_that_lost_old_lines_is_reported_and_not_proved);
    tcase_add_test(c, checkpoints_come_by_time_and_by_number);
    tcase_add_test(c, what_a_domain_has_proved_is_remembered_and_only_rises);
    tcase_add_test(c, each_host_has_its_own_best_beside_the_domains);
}

SP_TEST_MAIN("audit.book", add)
