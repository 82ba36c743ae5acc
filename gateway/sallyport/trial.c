/*
 * A new generation is on trial until the roles have taken it; until then the last one that they took is kept beside it. If
 * one of them refuses it, all go back, also those who had taken it, so that the gateway runs one configuration, and who
 * dies later starts with one that is known to work. Who takes a configuration without an end of its own is asked first:
 * nobody is started anew for a policy that a relay then refuses.
 *
 * What is gone back to keeps its number and its files, but for two things of the refused one: the keys of bodies, since a
 * relay that took it may have rewritten its shard's keyring under a new one (and the file of the old may be gone), and the
 * newest ticket keys. Who could not run with the accepted generation either has no say: going back would not help it.
 * The first generation is accepted when the relays have it, since mail needs no other.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/text.h"
#include "role/bundle.h"

#include <stdio.h>

#define FOR(role) (1U << SP_ROLE_##role)
/* They take a new configuration while they run; the others are started anew for it. */
#define ASKED_FIRST (FOR(RELAY) | FOR(SCANNER) | FOR(KEEPER) | FOR(ADMIN))
#define ACT_MAX     1024
#define CONTENT_KEK "secret/content.kek"
#define KEK_ID      "secret/kek.id"
#define FALLS_MAX   2    /* one end may have had another cause */
#define RETURN_MS   1000 /* between tries to go back, when that lacks memory or descriptors */

static bool is_on_trial(const struct supervisor *s)
{
    return s->accepted != NULL && s->now != s->accepted;
}

/* Whether it has run with the accepted generation, or a later one. */
static bool has_a_say(const struct child *c)
{
    return c->took >= c->s->accepted->number;
}

const char *trial_by(const struct refusal *r)
{
    return r->by == NULL ? "supervisor" : sp_ipc_role_name(r->by->kind);
}

/* In the place of an earlier one of the same origin; but one for which all went back is not hidden by one that moved nobody. */
static void remember(struct supervisor *s, struct refusal fresh, struct sp_bytes detail)
{
    struct refusal *r = &s->refusals[fresh.origin];

    if (fresh.alone && r->stands && !r->alone)
        return;
    *r = fresh;
    r->stands = true;
    r->at_ms = sp_clock_wall_ms(sp_loop_clock(s->loop));
    snprintf(r->detail, sizeof(r->detail), "%.*s", SP_FMT(detail));
    state_write(s);
}

void trial_unread(struct supervisor *s, bool needs_restart, struct sp_bytes detail)
{
    const struct refusal unread = {
        .origin = GENERATION_UNREAD, .why = SP_E_CONFIG_INVALID, .needs_restart = needs_restart};

    s->unread++;
    remember(s, unread, sp_bytes_slice(detail, 0, sp_bytes_find(detail, '\n')));
}

/* What was accepted holds all that those of its origin and of the lesser ones behind it would have brought. */
static void forget_refusals(struct supervisor *s)
{
    for (enum generation_origin o = s->now->origin; o < GENERATION_ORIGINS; o++) {
        struct refusal *r = &s->refusals[o];

        r->stands = r->stands && r->alone && r->generation == s->now->number;
    }
}

/* Who had no say may have taken it all the same, later. */
static void forget_taken(struct supervisor *s)
{
    for (enum generation_origin o = 0; o < GENERATION_ORIGINS; o++) {
        struct refusal *r = &s->refusals[o];

        if (r->alone && r->by->took == s->now->number)
            r->stands = false;
    }
}

/* ---- taking it ---- */

static bool all_took_it(const struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *c = &s->children[i];
        bool is_asked = s->accepted == NULL ? c->kind == SP_ROLE_RELAY : has_a_say(c);

        if (is_asked && c->took != s->now->number)
            return false;
    }
    return true;
}

void trial_progress(struct supervisor *s)
{
    struct generation *former = s->accepted;

    if (s->now != former && !s->stopping && all_took_it(s)) {
        s->accepted = s->now;
        generation_free(former);
        sp_log_info(s->log, "supervisor.accepted", SP_INT("generation", s->now->number));
        forget_refusals(s);
    }
    if (s->now == s->accepted)
        forget_taken(s);
    if (!s->stopping)
        children_tell(s);
    state_write(s);
    handover_settle(s);
}

void trial_took(struct child *c, uint64_t generation)
{
    c->took = generation;
    trial_progress(c->s);
}

bool trial_waits(const struct child *c)
{
    const struct supervisor *s = c->s;

    if (!is_on_trial(s) || (ASKED_FIRST & 1U << c->kind) != 0)
        return false;
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *other = &s->children[i];

        if ((ASKED_FIRST & 1U << other->kind) != 0 &&
            (other->state == CHILD_STARTING || other->state == CHILD_READY) &&
            other->took != s->now->number && other->refused != s->now->number)
            return true;
    }
    return false;
}

void trial_begin(struct supervisor *s, struct generation *before)
{
    s->refusals[GENERATION_UNREAD].stands =
        s->refusals[GENERATION_UNREAD].stands && s->now->origin != GENERATION_READ;
    children_reload(s, before);
    if (before != s->accepted)
        generation_free(before);
    trial_progress(s);
}

/* ---- going back ---- */

static struct sp_bytes content_key(const struct sp_role_bundle *b, const char *name, bool old)
{
    char file[40];

    snprintf(file, sizeof(file), "%s%s", name, old ? ".old" : "");
    return sp_role_bundle_find(b, sp_bytes_cstr(file));
}

static bool copy_file(struct sp_role_bundle *to, struct sp_bytes name, struct sp_bytes data)
{
    char text[SP_ROLE_BUNDLE_NAME_MAX + 1];

    snprintf(text, sizeof(text), "%.*s", SP_FMT(name));
    return sp_role_bundle_add(to, text, data) == SP_OK;
}

/* Beside the content keys. Events for the audit have been told. */
static bool copy_files(const struct sp_role_bundle *accepted, struct sp_role_bundle *out)
{
    struct sp_bytes name, data;
    size_t at = 0;
    bool ok = true;

    while (ok && sp_role_bundle_next(accepted, &at, &name, &data)) {
        if (!sp_bytes_starts_nocase(name, SP_LIT(CONTENT_KEK)) &&
            !sp_bytes_starts_nocase(name, SP_LIT(KEK_ID)) &&
            !sp_bytes_eq(name, SP_LIT("secret/tls.tickets")) && !sp_bytes_eq(name, SP_LIT("acts")))
            ok = copy_file(out, name, data);
    }
    return ok;
}

/*
 * A relay's keyring is now under the accepted key, or the refused generation has brought it under that one's: the latter is the
 * key of the former generation, the other one its old key, whatever lies on the disk as such.
 * other_keys: set if they are others than the accepted ones
 */
static bool copy_keys(const struct sp_role_bundle *accepted, const struct sp_role_bundle *refused,
                      struct sp_role_bundle *out, bool *other_keys)
{
    bool is_same =
        sp_bytes_eq(content_key(accepted, KEK_ID, false), content_key(refused, KEK_ID, false));
    const struct sp_role_bundle *old = is_same ? refused : accepted;
    struct sp_bytes old_key = content_key(old, CONTENT_KEK, is_same);

    *other_keys = !is_same || !sp_bytes_eq(content_key(accepted, KEK_ID, true),
                                           content_key(refused, KEK_ID, true));
    if (!copy_file(out, SP_LIT(CONTENT_KEK), content_key(refused, CONTENT_KEK, false)) ||
        !copy_file(out, SP_LIT(KEK_ID), content_key(refused, KEK_ID, false)))
        return false;
    return old_key.ptr == NULL ||
           (copy_file(out, SP_LIT(CONTENT_KEK ".old"), old_key) &&
            copy_file(out, SP_LIT(KEK_ID ".old"), content_key(old, KEK_ID, is_same)));
}

/* For the audit, which a relay writes for us. What is wrong may have somebody's address in it: the log has that. */
static bool add_act(struct sp_role_bundle *b, const struct refusal *r)
{
    struct sp_buf act;
    struct sp_jw w;
    bool ok;

    sp_buf_init(&act, ACT_MAX);
    sp_jw_init(&w, &act);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "config.refused");
    sp_jw_int(&w, "generation", (int64_t)r->generation);
    sp_jw_cstr(&w, "role", trial_by(r));
    sp_jw_cstr(&w, "reason", sp_rc_name(r->why));
    sp_jw_end(&w);
    sp_buf_put_cstr(&act, "\n");
    ok = sp_role_bundle_add(b, "acts", sp_buf_bytes(&act)) == SP_OK;
    sp_buf_clear(&act);
    return ok;
}

/* returns: the accepted generation, as it can be run now; NULL if there is no memory for it. owner: the caller */
static struct generation *make_former(const struct supervisor *s, bool *other_keys)
{
    const struct generation *accepted = s->accepted, *refused = s->now;
    SP_AUTO(sp_role_bundle) old = NULL;
    SP_AUTO(sp_role_bundle) other = NULL;
    SP_AUTO(sp_role_bundle) mixed = sp_role_bundle_new();
    struct generation *g;

    if (sp_role_bundle_from_memfd(accepted->bundles[SP_ROLE_RELAY], &old) != SP_OK ||
        sp_role_bundle_from_memfd(refused->bundles[SP_ROLE_RELAY], &other) != SP_OK ||
        !copy_files(old, mixed) || !copy_keys(old, other, mixed, other_keys) ||
        !add_act(mixed, &s->refusals[refused->origin]) ||
        sp_role_bundle_add(mixed, "secret/tls.tickets", generation_tickets(refused)) != SP_OK)
        return NULL;
    g = generation_copy(accepted, mixed, NULL);
    if (g == NULL)
        return NULL;
    g->number = accepted->number;
    g->origin = accepted->origin;
    g->stamp = accepted->stamp;
    memcpy(g->tickets, refused->tickets, sizeof(g->tickets));
    g->ticket_count = refused->ticket_count;
    return g;
}

/* returns: false if there is no memory or descriptor for it */
static bool go_back(struct supervisor *s)
{
    struct generation *refused = s->now, *accepted = s->accepted, *former;
    bool other_keys = false;

    former = make_former(s, &other_keys);
    if (former == NULL)
        return false;
    s->now = s->accepted = former;
    sp_log_warn(s->log, "supervisor.returned", SP_INT("generation", former->number),
                SP_INT("refused", refused->number));
    sockets_admin_mode(s);
    children_return(s, refused, other_keys);
    if (refused->origin == GENERATION_READ) /* else its files would be tried again for ever */
        renew_start(s);
    generation_free(refused);
    generation_free(accepted);
    ages_look(s);
    state_write(s);
    handover_settle(s);
    return true;
}

bool trial_leaves(const struct supervisor *s)
{
    return is_on_trial(s) && s->leaving == s->now->number;
}

static void on_return(void *arg)
{
    struct supervisor *s = arg;

    if (trial_leaves(s) && !s->stopping && !go_back(s))
        sp_timer_start(s->again, RETURN_MS);
}

/* Now, or as soon as there is what it takes: until then nobody is told of the refused one again. */
static void leave(struct supervisor *s)
{
    s->leaving = s->now->number;
    if (go_back(s))
        return;
    sp_log_error(s->log, "supervisor.not-returned", SP_INT("refused", s->leaving));
    if (s->again == NULL)
        s->again = sp_timer_new(s->loop, on_return, s);
    sp_timer_start(s->again, RETURN_MS);
}

static void log_refusal(const struct child *c, const struct sp_role_result *result)
{
    char detail[SP_ERR_TEXT_MAX];

    snprintf(detail, sizeof(detail), "%.*s", SP_FMT(result->text));
    sp_log_error(c->s->log, "supervisor.reload-refused", SP_TEXT("role", sp_ipc_role_name(c->kind)),
                 SP_INT("index", c->index), SP_INT("generation", c->refused),
                 SP_RC("why", result->rc), SP_TEXT("detail", detail));
}

void trial_refused(struct child *c, const struct sp_role_result *result)
{
    struct supervisor *s = c->s;
    bool is_now = c->refused == s->now->number && !trial_leaves(s);
    bool is_news = is_now && s->now != s->accepted;
    const struct refusal fresh = {.generation = c->refused,
                                  .origin = s->now->origin,
                                  .by = c,
                                  .alone = !is_on_trial(s) || !has_a_say(c),
                                  .why = result->rc};

    if (c->state != CHILD_ENDING || (is_news && s->accepted != NULL))
        log_refusal(c, result);
    if (c->refused != s->now->number)
        c->again = true; /* it may have taken a part of one that is gone */
    if (is_now && c->took != s->now->number)
        remember(s, fresh, result->text);
    if (!is_news || !is_on_trial(s) || s->stopping)
        return;
    if (fresh.alone)
        trial_progress(s); /* others may have waited for its answer */
    else
        leave(s);
}

void trial_fell(struct child *c)
{
    const struct supervisor *s = c->s;
    const struct sp_role_result gone = {.rc = SP_E_ROLE_GONE,
                                        .text = SP_LIT("it ended over it, twice")};

    if (!is_on_trial(s) || c->generation != s->now->number || c->took == s->now->number ||
        ++c->falls < FALLS_MAX)
        return;
    c->refused = c->generation;
    trial_refused(c, &gone);
}

void trial_clear(struct supervisor *s)
{
    if (s->accepted != s->now)
        generation_free(s->accepted);
    generation_free(s->now);
}
