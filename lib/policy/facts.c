/*
 * The table of facts and their setters. Facts are plain data: a message's are set once, a recipient's anew for each.
 * What was not set stays pending, which the decider reads as unknown: forgetting a fact can only make mail safer.
 */
#include "policy/facts.h"

#include "base/mem.h"
#include "policy/facts_priv.h"

static const char *const preferences[] = {"plain", "tls", "sealed", "portal", "no-mail", NULL};
static const char *const preference_by[] = {"registry", "recipient", NULL};
static const char *const remembered[] = {
    "never-seen",        "plain",    "tls:encrypted", "tls:verified",
    "tls:authenticated", "tls:dane", "sealed",        NULL};
static const char *const kinds[] = {"mail", "auto-reply", "dsn", "mdn", "calendar", "bulk", NULL};
static const char *const sealed[] = {"none", "smime", "pgp", "signed", NULL};
static const char *const classes[] = {"none", "identifier", "phi", "severe", NULL};
static const char *const scans[] = {"complete", "partial", "failed", NULL};
static const char *const weekdays[] = {"monday", "tuesday",  "wednesday", "thursday",
                                       "friday", "saturday", "sunday",    NULL};

/* clang-format off */
const struct sp_fact_row sp_fact_rows[SP_FACT_COUNT] = {
    [SP_FACT_TENANT] = {"tenant", SP_KIND_OF_TEXT, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_SENDER_ADDRESS] = {"sender.address", SP_KIND_OF_TEXT, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_SENDER_DOMAIN] = {"sender.domain", SP_KIND_OF_TEXT, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_SENDER_GROUP] = {"sender.group", SP_KIND_OF_SET, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_RECIPIENT_ADDRESS] = {"recipient.address", SP_KIND_OF_TEXT, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_RECIPIENT_DOMAIN] = {"recipient.domain", SP_KIND_OF_TEXT, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_RECIPIENT_COUNT] = {"recipient.count", SP_KIND_OF_NUMBER, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_RECIPIENT_PREFERENCE] = {"recipient.preference", SP_KIND_OF_CLOSED, SP_STAGE_ENVELOPE, false, preferences, 0},
    [SP_FACT_RECIPIENT_PREFERENCE_BY] = {"recipient.preference_by", SP_KIND_OF_CLOSED, SP_STAGE_ENVELOPE, false, preference_by, 0},
    [SP_FACT_RECIPIENT_FIRST_CONTACT] = {"recipient.first_contact", SP_KIND_OF_TRUTH, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_DOMAIN_REMEMBERED] = {"domain.remembered", SP_KIND_OF_CLOSED, SP_STAGE_ENVELOPE, true, remembered, SP_REMEMBERED_NEVER_SEEN},
    [SP_FACT_TIME_HOUR] = {"time.hour", SP_KIND_OF_NUMBER, SP_STAGE_ENVELOPE, false, NULL, 0},
    [SP_FACT_TIME_WEEKDAY] = {"time.weekday", SP_KIND_OF_CLOSED, SP_STAGE_ENVELOPE, false, weekdays, 1},
    [SP_FACT_FROM_ADDRESS] = {"from.address", SP_KIND_OF_TEXT, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_HEADER] = {"header.", SP_KIND_OF_NAMED_TEXT, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_SUBJECT] = {"subject", SP_KIND_OF_TEXT, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_SUBJECT_TAG] = {"subject.tag", SP_KIND_OF_TEXT, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_LABEL] = {"label", SP_KIND_OF_SET, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_MESSAGE_KIND] = {"message.kind", SP_KIND_OF_CLOSED, SP_STAGE_HEADER, false, kinds, 0},
    [SP_FACT_MESSAGE_SIZE] = {"message.size", SP_KIND_OF_NUMBER, SP_STAGE_HEADER, false, NULL, 0},
    [SP_FACT_MESSAGE_SEALED] = {"message.sealed", SP_KIND_OF_CLOSED, SP_STAGE_CONTENT, false, sealed, 0},
    [SP_FACT_ATTACHMENT_TYPE] = {"attachment.type", SP_KIND_OF_SET, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_ATTACHMENT_NAME] = {"attachment.name", SP_KIND_OF_SET, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_ATTACHMENT_OPAQUE] = {"attachment.opaque", SP_KIND_OF_TRUTH, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_PHI_CLASS] = {"phi.class", SP_KIND_OF_CLOSED, SP_STAGE_CONTENT, true, classes, 0},
    [SP_FACT_PHI_SCORE] = {"phi.score", SP_KIND_OF_NUMBER, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_PHI_SPECIAL] = {"phi.special", SP_KIND_OF_SET, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_PHI_COUNT] = {"phi.count.", SP_KIND_OF_NAMED_NUMBER, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_PHI_DISTINCT] = {"phi.distinct.", SP_KIND_OF_NAMED_NUMBER, SP_STAGE_CONTENT, false, NULL, 0},
    [SP_FACT_SCAN] = {"scan", SP_KIND_OF_CLOSED, SP_STAGE_CONTENT, false, scans, 0},
};
/* clang-format on */

const char *sp_fact_name(enum sp_fact fact)
{
    sp_assert(fact < SP_FACT_COUNT);
    return sp_fact_rows[fact].name;
}

enum sp_stage sp_fact_stage(enum sp_fact fact)
{
    sp_assert(fact < SP_FACT_COUNT);
    return sp_fact_rows[fact].stage;
}

bool sp_fact_is_text(enum sp_fact fact)
{
    return sp_fact_rows[fact].kind == SP_KIND_OF_TEXT;
}

bool sp_fact_is_set(enum sp_fact fact)
{
    return sp_fact_rows[fact].kind == SP_KIND_OF_SET;
}

bool sp_fact_is_closed(enum sp_fact fact)
{
    return sp_fact_rows[fact].kind == SP_KIND_OF_CLOSED;
}

const char *sp_stage_name(enum sp_stage stage)
{
    static const char *const names[] = {"envelope", "header", "content"};

    return names[stage];
}

bool sp_fact_find(struct sp_bytes name, enum sp_fact *fact, struct sp_bytes *rest)
{
    for (size_t i = 0; i < SP_FACT_COUNT; i++) {
        struct sp_bytes known = sp_bytes_cstr(sp_fact_rows[i].name);
        bool open = sp_fact_rows[i].kind >= SP_KIND_OF_NAMED_TEXT;

        *rest = sp_bytes_slice(name, known.len, SIZE_MAX);
        if (open ? rest->len > 0 && sp_bytes_eq(sp_bytes_slice(name, 0, known.len), known)
                 : sp_bytes_eq(name, known)) {
            *fact = (enum sp_fact)i;
            return true;
        }
    }
    return false;
}

const char *sp_fact_value_name(enum sp_fact fact, int64_t number)
{
    const struct sp_fact_row *row = &sp_fact_rows[fact];

    if (row->values == NULL)
        return NULL;
    for (int64_t i = 0; row->values[i] != NULL; i++)
        if (i + row->first == number)
            return row->values[i];
    return NULL;
}

bool sp_fact_value_parse(enum sp_fact fact, struct sp_bytes name, int64_t *out)
{
    const struct sp_fact_row *row = &sp_fact_rows[fact];

    if (row->values == NULL)
        return false;
    for (int64_t i = 0; row->values[i] != NULL; i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(row->values[i]))) {
            *out = i + row->first;
            return true;
        }
    }
    return false;
}

void sp_facts_init(struct sp_facts *f)
{
    memset(f, 0, sizeof(*f));
    f->language = SP_POLICY_LANGUAGE;
    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        f->values[i].state = SP_FACT_PENDING;
}

void sp_facts_set_text(struct sp_facts *f, enum sp_fact fact, struct sp_bytes text)
{
    sp_assert(sp_fact_rows[fact].kind == SP_KIND_OF_TEXT);
    f->values[fact] = (struct sp_fact_value){.state = SP_FACT_KNOWN, .text = text};
}

void sp_facts_set_number(struct sp_facts *f, enum sp_fact fact, int64_t number)
{
    enum sp_fact_kind kind = sp_fact_rows[fact].kind;

    sp_assert(kind == SP_KIND_OF_NUMBER || kind == SP_KIND_OF_TRUTH || kind == SP_KIND_OF_CLOSED);
    f->values[fact] = (struct sp_fact_value){.state = SP_FACT_KNOWN, .number = number};
}

void sp_facts_set_texts(struct sp_facts *f, enum sp_fact fact, const struct sp_bytes *texts,
                        size_t count)
{
    sp_assert(sp_fact_rows[fact].kind == SP_KIND_OF_SET);
    f->values[fact] =
        (struct sp_fact_value){.state = SP_FACT_KNOWN, .texts = texts, .count = count};
}

void sp_facts_set_types(struct sp_facts *f, const struct sp_fact_type *types, size_t count)
{
    f->types = types;
    f->type_count = count;
    f->values[SP_FACT_PHI_COUNT].state = SP_FACT_KNOWN;
    f->values[SP_FACT_PHI_DISTINCT].state = SP_FACT_KNOWN;
}

void sp_facts_set_absent(struct sp_facts *f, enum sp_fact fact)
{
    f->values[fact] = (struct sp_fact_value){.state = SP_FACT_ABSENT};
}

void sp_facts_set_unknown(struct sp_facts *f, enum sp_fact fact)
{
    f->values[fact] = (struct sp_fact_value){.state = SP_FACT_UNKNOWN};
}

void sp_facts_close_stage(struct sp_facts *f, enum sp_stage stage)
{
    if (stage == SP_STAGE_CONTENT && f->values[SP_FACT_SCAN].state == SP_FACT_PENDING) {
        sp_facts_set_scan(f, SP_SCAN_CRASHED); /* nobody looked: that is not "nothing found" */
        sp_facts_set_unknown(f, SP_FACT_MESSAGE_SEALED);
    }
    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        if (sp_fact_rows[i].stage == stage && f->values[i].state == SP_FACT_PENDING)
            f->values[i].state = SP_FACT_ABSENT;
}

/* What follows the last @: a quoted local part may hold one. */
static struct sp_bytes domain_of(struct sp_bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at == 0 ? sp_bytes(NULL, 0) : sp_bytes_slice(address, at, SIZE_MAX);
}

static void set_address(struct sp_facts *f, struct sp_bytes address, enum sp_fact whole,
                        enum sp_fact domain)
{
    struct sp_bytes d = domain_of(address);

    sp_facts_set_absent(f, whole);
    sp_facts_set_absent(f, domain);
    if (address.len > 0)
        sp_facts_set_text(f, whole, address);
    if (d.len > 0)
        sp_facts_set_text(f, domain, d);
}

void sp_facts_set_sender(struct sp_facts *f, struct sp_bytes address)
{
    set_address(f, address, SP_FACT_SENDER_ADDRESS, SP_FACT_SENDER_DOMAIN);
}

void sp_facts_set_wish(struct sp_facts *f, const struct sp_fact_wish *wish)
{
    f->has_wish = wish != NULL;
    memset(&f->wish, 0, sizeof(f->wish));
    if (wish != NULL)
        f->wish = *wish;
}

bool sp_fact_is_wish(int64_t preference)
{
    return preference == SP_PREFERENCE_TLS || preference == SP_PREFERENCE_SEALED ||
           preference == SP_PREFERENCE_PORTAL;
}

void sp_facts_set_recipient(struct sp_facts *f, struct sp_bytes address)
{
    set_address(f, address, SP_FACT_RECIPIENT_ADDRESS, SP_FACT_RECIPIENT_DOMAIN);
    sp_facts_set_wish(f, NULL);
    sp_facts_set_absent(f, SP_FACT_RECIPIENT_PREFERENCE);
    sp_facts_set_absent(f, SP_FACT_RECIPIENT_PREFERENCE_BY);
    sp_facts_set_absent(f, SP_FACT_RECIPIENT_FIRST_CONTACT);
    sp_facts_set_absent(f, SP_FACT_DOMAIN_REMEMBERED);
}

void sp_facts_set_scan(struct sp_facts *f, enum sp_scan scan)
{
    static const enum sp_fact others[] = {SP_FACT_PHI_SCORE, SP_FACT_PHI_SPECIAL, SP_FACT_PHI_COUNT,
                                          SP_FACT_PHI_DISTINCT};

    sp_facts_set_number(f, SP_FACT_SCAN, (int64_t)scan);
    if (scan == SP_SCAN_COMPLETE)
        return;
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, SP_PHI_SEVERE);
    for (size_t i = 0; i < SP_ARRAY_LEN(others); i++) {
        struct sp_fact_value *v = &f->values[others[i]];
        bool found = v->state == SP_FACT_KNOWN || v->state == SP_FACT_LEAST;

        if (scan == SP_SCAN_PARTIAL && found && f->language >= 2)
            v->state = SP_FACT_LEAST;
        else
            sp_facts_set_unknown(f, others[i]);
    }
}
