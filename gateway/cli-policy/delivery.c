/*
 * "delivery" in the tests of policies: what a next hop offers (its best TLS level, none, broken or unreachable), which
 * keys are there, what the domain proved before, and how long ago the message was accepted, as the status of every rung;
 * then the chooser of protect answers.
 */
#include <stdio.h>

#include "gateway/cli-policy/test.h"
#include "json/units.h"
#include "protect/protect.h"

static const char *const keys[] = {"offers", "keys", "before", "after",
                                   "rung",   "wait", "end",    "late"};

struct hop {
    bool is_broken;
    bool is_unreachable;
    enum sp_floor offers; /* plain: no TLS */
    enum sp_floor before;
    const struct sp_json *keys;
};

static bool has_key(const struct hop *hop, enum sp_rung rung)
{
    if (hop->keys == NULL)
        return false;
    for (const struct sp_json *k = hop->keys->first; k != NULL; k = k->next)
        if (sp_bytes_eq(k->text, sp_bytes_cstr(sp_rung_name(rung))))
            return true;
    return false;
}

static enum sp_rung_status status_of(const struct hop *hop, enum sp_rung rung)
{
    if (sp_rung_is_crypto(rung) && !has_key(hop, rung))
        return SP_STATUS_UNAVAILABLE;
    if (hop->is_broken)
        return SP_STATUS_BROKEN; /* a portal notice may not go there either */
    if (rung == SP_RUNG_PORTAL)
        return SP_STATUS_POSSIBLE;
    if (hop->is_unreachable)
        return SP_STATUS_UNREACHABLE;
    if (sp_rung_is_crypto(rung) || sp_rung_floor(rung) <= hop->offers)
        return SP_STATUS_POSSIBLE;
    return sp_rung_floor(rung) <= hop->before ? SP_STATUS_DROPPED : SP_STATUS_UNAVAILABLE;
}

static bool read_level(struct cli *cli, const struct sp_json *v, enum sp_floor *out)
{
    if (v == NULL)
        return true;
    if (sp_bytes_eq(v->text, SP_LIT("none")) || sp_floor_parse(v->text, out))
        return true;
    sp_problem(cli->problems, v, SP_E_CONFIG_RANGE,
               "expected none, tls:encrypted, tls:verified, tls:authenticated or tls:dane");
    return false;
}

static bool read_hop(struct cli *cli, const struct sp_json *ask, struct hop *out)
{
    const struct sp_json *offers = sp_json_find(ask, "offers");

    *out = (struct hop){.keys = sp_json_find(ask, "keys")};
    out->is_broken = sp_bytes_eq(offers->text, SP_LIT("broken"));
    out->is_unreachable = sp_bytes_eq(offers->text, SP_LIT("unreachable"));
    if (!out->is_broken && !out->is_unreachable && !read_level(cli, offers, &out->offers))
        return false;
    return read_level(cli, sp_json_find(ask, "before"), &out->before);
}

static void name_answer(const struct sp_protect_answer *a, const struct sp_ladder *ladder,
                        char out[64])
{
    if (a->verb == SP_PROTECT_TAKE)
        snprintf(out, 64, "rung %s", sp_rung_name(ladder->rungs[a->index].rung));
    else if (a->verb == SP_PROTECT_WAIT)
        snprintf(out, 64, "wait for %s", sp_rung_name(ladder->rungs[a->index].rung));
    else
        snprintf(out, 64, "end: %s", sp_at_end_name(a->at_end));
}

static bool is_expected(const struct sp_json *ask, const struct sp_protect_answer *a,
                        const struct sp_ladder *ladder)
{
    struct sp_bytes rung = sp_json_text_of(ask, "rung"), end = sp_json_text_of(ask, "end");
    const struct sp_json *late = sp_json_find(ask, "late");

    if (late != NULL && (late->integer != 0) != a->late)
        return false;
    if (rung.len > 0)
        return a->verb == SP_PROTECT_TAKE &&
               sp_bytes_eq(rung, sp_bytes_cstr(sp_rung_name(ladder->rungs[a->index].rung)));
    if (end.len > 0)
        return a->verb == SP_PROTECT_END &&
               sp_bytes_eq(end, sp_bytes_cstr(sp_at_end_name(a->at_end)));
    return sp_json_bool_of(ask, "wait", false) && a->verb == SP_PROTECT_WAIT;
}

/* In the words of the other problems of a case: what was expected, and what came. */
static void tell(struct cli_test *t, const struct sp_json *ask, size_t n,
                 const struct sp_protect_answer *a, const char *got)
{
    struct sp_bytes rung = sp_json_text_of(ask, "rung"), end = sp_json_text_of(ask, "end");
    const struct sp_json *late = sp_json_find(ask, "late");

    if (late != NULL && (late->integer != 0) != a->late)
        cli_test_fail(t, "delivery[%zu]: expected \"late\": %s, got %s, %s", n,
                      late->integer != 0 ? "true" : "false", a->late ? "true" : "false", got);
    else if (rung.len > 0)
        cli_test_fail(t, "delivery[%zu]: expected rung %.*s, got %s", n, SP_FMT(rung), got);
    else if (end.len > 0)
        cli_test_fail(t, "delivery[%zu]: expected end: %.*s, got %s", n, SP_FMT(end), got);
    else
        cli_test_fail(t, "delivery[%zu]: expected to wait, got %s", n, got);
}

void cli_test_delivery(struct cli *cli, struct cli_test *t, const struct sp_json *ask, size_t n)
{
    const struct sp_decision *d = &t->decision;
    struct sp_protect_question q = {.ladder = d->ladder,
                                    .floor = d->floor,
                                    .is_sealed = d->is_sealed,
                                    .expire_ms = d->expire_ms};
    const struct sp_json *after = sp_json_find(ask, "after");
    struct sp_protect_answer a;
    struct hop hop;
    char got[64];

    cli_test_keys(cli, ask, keys, SP_ARRAY_LEN(keys));
    if (!read_hop(cli, ask, &hop))
        return;
    if (d->ladder == NULL || d->verb != SP_DO_PROTECT) {
        cli_test_fail(t, "delivery[%zu]: there is none: the policy says %s", n,
                      sp_do_name(d->verb));
        return;
    }
    if (after != NULL && !sp_units_parse_duration(after->text, &q.since_accept_ms))
        sp_problem(cli->problems, after, SP_E_CONFIG_TYPE, "expected a duration like \"20h\"");
    for (size_t i = 0; i < d->ladder->count; i++)
        q.status[i] = status_of(&hop, d->ladder->rungs[i].rung);
    sp_protect_choose(&q, &a);
    name_answer(&a, d->ladder, got);
    if (!is_expected(ask, &a, d->ladder))
        tell(t, ask, n, &a, got);
}
