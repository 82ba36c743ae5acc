/*
 * Conditions, outcomes and ladders in English. A condition is a postfix program, so its sentence is built on a stack of
 * texts; brackets stand only where "or" meets "and".
 */
#include "policy/words_priv.h"

#include "json/units.h"

static const char *const fact_words[SP_FACT_COUNT] = {
    [SP_FACT_TENANT] = "the tenant",
    [SP_FACT_SENDER_ADDRESS] = "the sender",
    [SP_FACT_SENDER_DOMAIN] = "the sender's domain",
    [SP_FACT_SENDER_GROUP] = "the sender's group",
    [SP_FACT_RECIPIENT_ADDRESS] = "the recipient",
    [SP_FACT_RECIPIENT_DOMAIN] = "the recipient's domain",
    [SP_FACT_RECIPIENT_COUNT] = "the number of recipients",
    [SP_FACT_RECIPIENT_PREFERENCE] = "the recipient's recorded preference",
    [SP_FACT_RECIPIENT_PREFERENCE_BY] = "who has put the recipient's preference down",
    [SP_FACT_RECIPIENT_FIRST_CONTACT] = "that this is the first mail to the recipient",
    [SP_FACT_DOMAIN_REMEMBERED] = "what the recipient's domain has proved before",
    [SP_FACT_TIME_HOUR] = "the hour of the day",
    [SP_FACT_TIME_WEEKDAY] = "the day of the week",
    [SP_FACT_FROM_ADDRESS] = "the From address",
    [SP_FACT_HEADER] = "the header field ",
    [SP_FACT_SUBJECT] = "the subject",
    [SP_FACT_SUBJECT_TAG] = "the [tag] in the subject",
    [SP_FACT_LABEL] = "the sensitivity label",
    [SP_FACT_MESSAGE_KIND] = "the kind of message",
    [SP_FACT_MESSAGE_SIZE] = "the size",
    [SP_FACT_MESSAGE_SEALED] = "the encryption or signature that the message arrives with",
    [SP_FACT_ATTACHMENT_TYPE] = "the type of an attachment",
    [SP_FACT_ATTACHMENT_NAME] = "the name of an attachment",
    [SP_FACT_ATTACHMENT_OPAQUE] = "that an attachment can't be opened",
    [SP_FACT_PHI_CLASS] = "the class of health information",
    [SP_FACT_PHI_SCORE] = "the score of health information",
    [SP_FACT_PHI_SPECIAL] = "specially protected content",
    [SP_FACT_PHI_COUNT] = "the number of findings of type ",
    [SP_FACT_PHI_DISTINCT] = "the number of different findings of type ",
    [SP_FACT_SCAN] = "the result of the scan",
};

static void put_value(struct sp_buf *out, const struct sp_policy_test *t, size_t i)
{
    const char *name;

    if (t->texts != NULL && t->texts[i].ptr != NULL && sp_fact_rows[t->fact].values == NULL) {
        sp_buf_printf(out, "\"%.*s\"", SP_FMT(t->texts[i]));
        return;
    }
    name = sp_fact_value_name(t->fact, t->numbers[i]);
    if (name != NULL)
        sp_buf_put_cstr(out, name);
    else if (sp_fact_rows[t->fact].kind == SP_KIND_OF_TRUTH)
        sp_buf_put_cstr(out, t->numbers[i] ? "true" : "false");
    else if (t->fact == SP_FACT_MESSAGE_SIZE)
        sp_units_format_size(t->numbers[i], out);
    else
        sp_buf_put_dec(out, t->numbers[i]);
}

static void put_values(struct sp_buf *out, const struct sp_policy_test *t)
{
    size_t count = t->count;

    if (t->fact == SP_FACT_LABEL && count > 1)
        count = 1; /* a label's name; its identifier says nothing to people */
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            sp_buf_put_cstr(out, i + 1 == count ? " or " : ", ");
        put_value(out, t, i);
    }
}

static void put_lists(struct sp_buf *out, const struct sp_policy_test *t)
{
    for (size_t i = 0; i < t->count; i++)
        sp_buf_printf(out, "%s%s",
                      i == 0              ? ""
                      : i + 1 == t->count ? " or "
                                          : ", ",
                      t->lists[i]->name);
}

static void put_operator(struct sp_buf *out, const struct sp_policy_test *t)
{
    switch (t->op) {
    case SP_TEST_EQUALS:
        sp_buf_put_cstr(out, " is ");
        put_values(out, t);
        break;
    case SP_TEST_HAS:
        sp_buf_put_cstr(out, " holds ");
        put_values(out, t);
        break;
    case SP_TEST_IN:
        sp_buf_put_cstr(out, t->count == 1 ? " is in the list " : " is in one of the lists ");
        put_lists(out, t);
        break;
    case SP_TEST_RESEMBLES:
        sp_buf_put_cstr(out, " looks like, but is not, one of the list ");
        put_lists(out, t);
        break;
    case SP_TEST_LIKE:
        sp_buf_printf(out, " looks like \"%.*s\"", SP_FMT(t->texts[0]));
        break;
    case SP_TEST_REGEX:
        sp_buf_printf(out, " matches /%.*s/", SP_FMT(t->texts[0]));
        break;
    case SP_TEST_AT_LEAST:
    case SP_TEST_BELOW:
        sp_buf_put_cstr(out, t->op == SP_TEST_BELOW ? " is below " : " is at least ");
        put_value(out, t, 0);
        break;
    case SP_TEST_EXISTS:
        sp_buf_put_cstr(out, t->numbers[0] != 0 ? " is there" : " is not there");
        break;
    }
}

static const char *test_words(const struct sp_policy_test *t, struct sp_arena *arena)
{
    struct sp_buf out;
    const char *text;

    sp_buf_init(&out, 1U << 20);
    sp_buf_put_cstr(&out, fact_words[t->fact]);
    sp_buf_put(&out, t->name);
    if (t->fact == SP_FACT_RECIPIENT_FIRST_CONTACT || t->fact == SP_FACT_ATTACHMENT_OPAQUE) {
        sp_buf_reset(&out); /* a truth: said, or said not to be so */
        sp_buf_put_cstr(&out, t->numbers != NULL && t->numbers[0] == 0 ? "it is not so " : "");
        sp_buf_put_cstr(&out, t->numbers != NULL && t->numbers[0] == 0 ? fact_words[t->fact]
                                                                       : fact_words[t->fact] + 5);
    } else {
        put_operator(&out, t);
    }
    text = sp_arena_cstr(arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    return text;
}

/* A text on the stack, and how tightly it holds together: 0 one test or bracketed, 1 joined by and, 2 by or. */
struct phrase {
    const char *text;
    int looseness;
};

static struct phrase join(const struct phrase *items, size_t n, bool is_all, struct sp_arena *arena)
{
    struct phrase made = {NULL, n == 1 ? items[0].looseness : is_all ? 1 : 2};
    struct sp_buf out;

    sp_buf_init(&out, 1U << 20);
    for (size_t i = 0; i < n; i++) {
        bool bracket = n > 1 && items[i].looseness == (is_all ? 2 : 1);

        sp_buf_printf(&out, "%s%s%s%s",
                      i == 0   ? ""
                      : is_all ? " and "
                               : " or ",
                      bracket ? "(" : "", items[i].text, bracket ? ")" : "");
    }
    made.text = sp_arena_cstr(arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    return made;
}

static struct phrase negate(const struct phrase *item, struct sp_arena *arena)
{
    struct sp_buf out;
    struct phrase made = {NULL, 0};

    sp_buf_init(&out, 1U << 20);
    sp_buf_printf(&out, "it is not so that %s%s%s", item->looseness > 0 ? "(" : "", item->text,
                  item->looseness > 0 ? ")" : "");
    made.text = sp_arena_cstr(arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    return made;
}

const char *sp_policy_words_cond(const struct sp_cond *c, struct sp_arena *arena)
{
    struct phrase stack[SP_COND_DEPTH_MAX];
    size_t n = 0;

    for (size_t i = 0; i < c->step_count; i++) {
        const struct sp_cond_step *s = &c->steps[i];

        if (s->op == SP_COND_TEST) {
            stack[n++] = (struct phrase){test_words(&c->tests[s->arg], arena), 0};
        } else if (s->op == SP_COND_NOT) {
            sp_assert(n > 0);
            stack[n - 1] = negate(&stack[n - 1], arena);
        } else {
            n -= s->arg;
            stack[n] = join(&stack[n], s->arg, s->op == SP_COND_ALL, arena);
            n++;
        }
    }
    return n == 0 ? NULL : stack[0].text;
}

void sp_policy_words_duration(struct sp_buf *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"}, {1000, "second"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(units); i++) {
        if (ms < units[i].ms || ms % units[i].ms != 0)
            continue;
        sp_buf_printf(out, "%lld %s%s", (long long)(ms / units[i].ms), units[i].name,
                      ms == units[i].ms ? "" : "s");
        return;
    }
    sp_buf_printf(out, "%lld milliseconds", (long long)ms);
}

const char *sp_policy_words_rung(enum sp_rung rung)
{
    static const char *const words[SP_RUNG_COUNT] = {
        [SP_RUNG_PLAIN] = "unencrypted mail",
        [SP_RUNG_TLS_ENCRYPTED] = "TLS with any certificate",
        [SP_RUNG_TLS_VERIFIED] = "TLS with a verified certificate",
        [SP_RUNG_TLS_AUTHENTICATED] = "authenticated TLS (MTA-STS, a pinned partner or DANE)",
        [SP_RUNG_TLS_DANE] = "TLS with DANE",
        [SP_RUNG_SMIME] = "S/MIME",
        [SP_RUNG_PGP] = "PGP",
        [SP_RUNG_PORTAL] = "the portal",
    };

    return words[rung];
}

const char *sp_policy_words_floor(enum sp_floor floor)
{
    static const char *const words[SP_FLOOR_COUNT] = {
        [SP_FLOOR_PLAIN] = "no protection",
        [SP_FLOOR_TLS_ENCRYPTED] = "encrypted TLS",
        [SP_FLOOR_TLS_VERIFIED] = "TLS with a verified certificate",
        [SP_FLOOR_TLS_AUTHENTICATED] = "authenticated TLS",
        [SP_FLOOR_TLS_DANE] = "TLS with DANE",
        [SP_FLOOR_SEALED] = "sealed (S/MIME, PGP or the portal)",
    };

    return words[floor];
}

void sp_policy_words_ladder(struct sp_buf *out, const struct sp_ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++) {
        const struct sp_ladder_rung *r = &ladder->rungs[i];

        sp_buf_printf(out, "%s%s", i == 0 ? "" : ", else ", sp_policy_words_rung(r->rung));
        if (r->stay_unreachable_ms != SP_STAY_UNTIL_EXPIRE) {
            sp_buf_put_cstr(out, " (waiting for it ");
            sp_policy_words_duration(out, r->stay_unreachable_ms);
            sp_buf_put_cstr(out, " at most)");
        }
        if (r->stay_dropped_ms != SP_STAY_DROPPED_DEFAULT) {
            sp_buf_put_cstr(out, " (waiting for it ");
            sp_policy_words_duration(out, r->stay_dropped_ms);
            sp_buf_put_cstr(out, " if the domain has proved more before)");
        }
    }
    sp_buf_printf(out, "; never below %s; if none is possible the message %s",
                  sp_policy_words_floor(ladder->floor),
                  ladder->at_end == SP_AT_END_HOLD ? "is held" : "goes back to its sender");
}

/* By its name, or rung by rung if it is written in place. */
static void put_protected(struct sp_buf *out, const struct sp_ladder *ladder)
{
    sp_buf_put_cstr(out, "protected by ");
    if (ladder != NULL && ladder->name[0] != 0) {
        sp_buf_printf(out, "the ladder %s", ladder->name);
        return;
    }
    sp_buf_put_cstr(out, "a ladder of its own");
    if (ladder != NULL) {
        sp_buf_put_cstr(out, ": first ");
        sp_policy_words_ladder(out, ladder);
    }
}

static void put_verb(struct sp_buf *out, const struct sp_outcome *t)
{
    switch (t->verb) {
    case SP_DO_PROTECT:
        sp_buf_put_cstr(out, "the message is ");
        put_protected(out, t->ladder);
        break;
    case SP_DO_REJECT:
        sp_buf_printf(out, "the message is refused with \"%.*s\"", SP_FMT(t->text));
        break;
    case SP_DO_DISCARD:
        sp_buf_printf(out, "the message is discarded (%.*s)", SP_FMT(t->text));
        break;
    case SP_DO_HOLD:
        sp_buf_printf(out, "the message is held for %s", sp_hold_for_name(t->hold.kind));
        if (t->hold.by[0] != 0)
            sp_buf_printf(out, " by %s", t->hold.by);
        if (t->hold.within_ms > 0) {
            sp_buf_put_cstr(out, " within ");
            sp_policy_words_duration(out, t->hold.within_ms);
            sp_buf_put_cstr(out, t->hold.otherwise_protect ? ", after which it goes on"
                                                           : ", after which it goes back");
        }
        sp_buf_put_cstr(out, ", and once released is ");
        put_protected(out, t->ladder);
        break;
    }
}

static void put_reminders(struct sp_buf *out, const struct sp_portal_options *o)
{
    if (o->remind_ms[0] == 0)
        sp_buf_put_cstr(out, "the recipient is not reminded of it");
    for (size_t i = 0; i < SP_ARRAY_LEN(o->remind_ms) && o->remind_ms[i] > 0; i++) {
        sp_buf_put_cstr(out, i == 0 ? "the recipient is reminded of it after " : " and ");
        sp_policy_words_duration(out, o->remind_ms[i]);
    }
}

bool sp_policy_words_portal(struct sp_buf *out, const struct sp_portal_options *o,
                            struct sp_bytes option)
{
    if (sp_bytes_eq(option, SP_LIT("expires"))) {
        sp_buf_put_cstr(out, "in the portal it can be read for ");
        sp_policy_words_duration(out, o->expires_ms);
    } else if (sp_bytes_eq(option, SP_LIT("remind"))) {
        put_reminders(out, o);
    } else if (sp_bytes_eq(option, SP_LIT("unread_after"))) {
        sp_buf_put_cstr(out, "it counts as unread after ");
        sp_policy_words_duration(out, o->unread_after_ms);
    } else if (sp_bytes_eq(option, SP_LIT("notify_from"))) {
        sp_buf_printf(out, "its notice comes from \"%s\"", o->notify_from);
    } else if (sp_bytes_eq(option, SP_LIT("notify_floor"))) {
        sp_buf_printf(out, "its notice needs %s", sp_policy_words_floor(o->notify_floor));
    } else {
        return false;
    }
    return true;
}

/* What the rule itself says of the portal, and of how long is tried. */
static void put_options(struct sp_buf *out, const struct sp_rule *r)
{
    const struct sp_json *portal = sp_json_find(sp_json_find(r->source, "then"), "portal");
    struct sp_buf option;

    if (r->then.has_expire) {
        sp_buf_put_cstr(out, "; it is given up after ");
        sp_policy_words_duration(out, r->then.expire_ms);
    }
    sp_buf_init(&option, 4096);
    for (const struct sp_json *v = portal == NULL ? NULL : portal->first; v != NULL; v = v->next) {
        sp_buf_reset(&option);
        if (sp_policy_words_portal(&option, &r->then.portal, v->key))
            sp_buf_printf(out, "; %.*s", (int)option.len, (const char *)option.ptr);
    }
    sp_buf_clear(&option);
}

static void put_notify(struct sp_buf *out, unsigned notify)
{
    if ((notify & SP_NOTIFY_PORTAL) != 0)
        sp_buf_put_cstr(out, "; the sender is told if it goes to the portal");
    if ((notify & SP_NOTIFY_LATE) != 0)
        sp_buf_put_cstr(out, "; the sender is told if it is late");
    if ((notify & SP_NOTIFY_UNREAD) != 0)
        sp_buf_put_cstr(out, "; the sender is told if nobody opens it in the portal");
}

static void put_header(struct sp_buf *out, const struct sp_outcome *t)
{
    for (size_t i = 0; i < t->header_count; i++)
        sp_buf_printf(out, "; the header field %s is %s%s", t->headers[i].name,
                      t->headers[i].value == NULL ? "removed" : "added: ",
                      t->headers[i].value == NULL ? "" : t->headers[i].value);
}

static void put_beside(struct sp_buf *out, const struct sp_outcome *t)
{
    if (t->has_raise)
        sp_buf_printf(out, "; nothing below %s will do", sp_policy_words_floor(t->raise));
    for (size_t i = 0; i < t->tag_count; i++)
        sp_buf_printf(out, "%s%s", i == 0 ? "; it is tagged " : ", ", t->tags[i]);
    if (t->notice_name != NULL)
        sp_buf_printf(out, "; the text %s is put above it", t->notice_name);
    if (t->footer_name != NULL)
        sp_buf_printf(out, "; the text %s is put below it", t->footer_name);
    put_header(out, t);
    if (t->strip_subject_tag)
        sp_buf_put_cstr(out, "; the tag is taken out of the subject");
    if (t->protect_subject != NULL)
        sp_buf_printf(out, "; outside a sealed copy the subject reads \"%s\"", t->protect_subject);
    for (size_t i = 0; i < t->copy_count; i++)
        sp_buf_printf(out, "%s%s", i == 0 ? "; a copy goes to " : ", ", t->copies[i]);
    if (t->redirect != NULL)
        sp_buf_printf(out, "; it goes to %s instead", t->redirect);
    if (t->route != NULL)
        sp_buf_printf(out, "; it takes the route %s", t->route);
    if (t->lane != NULL)
        sp_buf_printf(out, "; it waits in the %s lane", t->lane);
    if (t->smime_cipher != NULL)
        sp_buf_printf(out, "; S/MIME uses %s", t->smime_cipher);
    put_notify(out, t->notify);
    if (t->lowers != NULL)
        sp_buf_printf(out, "; this may go below the floor of the settings, because %s", t->lowers);
}

/* As they are written: a day is the place's. */
static void put_dates(struct sp_buf *out, const struct sp_rule *r)
{
    bool ends = r->until_ms != INT64_MAX;

    if (r->from_ms != INT64_MIN)
        sp_buf_printf(out, "From %.*s %s", SP_FMT(sp_json_text_of(r->source, "from")),
                      ends ? "until " : "on: ");
    else if (ends)
        sp_buf_put_cstr(out, "Until ");
    if (ends)
        sp_buf_printf(out, "%.*s: ", SP_FMT(sp_json_text_of(r->source, "until")));
}

const char *sp_policy_words_rule(const struct sp_rule *r, struct sp_arena *arena)
{
    const char *when = sp_policy_words_cond(&r->cond, arena);
    struct sp_buf out, then;
    const char *text;

    sp_buf_init(&out, 1U << 20);
    sp_buf_init(&then, 1U << 20);
    put_dates(&out, r);
    if (when != NULL)
        sp_buf_printf(&out, "If %s, ", when);
    else
        sp_buf_put_cstr(&out, r->section[0] == 'd' ? "Otherwise " : "Always: ");
    if (r->then.has_verb)
        put_verb(&then, &r->then);
    put_beside(&then, &r->then);
    put_options(&then, r);
    sp_buf_put(&out, sp_bytes_slice(sp_buf_bytes(&then), r->then.has_verb ? 0 : 2, SIZE_MAX));
    if (r->is_certain)
        sp_buf_put_cstr(&out, "; not where that is in doubt");
    if (r->is_continue)
        sp_buf_put_cstr(&out, "; the rules that follow decide the rest");
    if (r->whole_message)
        sp_buf_put_cstr(&out, "; this holds for all recipients of the message");
    sp_buf_put_u8(&out, '.');
    text = sp_arena_cstr(arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    sp_buf_clear(&then);
    return text;
}
