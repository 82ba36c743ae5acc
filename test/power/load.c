/*
 * A random day of a gateway: messages of 200 bytes to 300 KB, some held, some for several; deliveries that end well, are
 * put off, are returned with a DSN in the same record; an administrator who also redirects; the ledger's own acts; old segments
 * forgotten; the content key rotated; and on tight days, with tiny segments and mail that waits for a day, carries; restarts, clean and not. Every answer is put down with its moment.
 */
#include "power/world.h"

#include "base/mem.h"
#include "queue/redirect.h"

#include <stdio.h>
#include <string.h>

enum { EVENT_MAX = 256, DAY_MS = 86400000 };

void world_commit(struct world *w)
{
    if (w->queue != NULL)
        sp_queue_commit(w->queue);
    if (w->own != NULL)
        sp_journal_commit(w->own);
}

/* ---- the diary ---- */

static struct world_message *find(struct world *w, const struct sp_id *id)
{
    for (size_t i = 0; i < w->message_count; i++)
        if (sp_id_eq(&w->messages[i].id, id))
            return &w->messages[i];
    return NULL;
}

static void begin(struct world *w, struct world_rcpt *r, uint8_t state)
{
    if (r->count == WORLD_CHANGES) { /* the oldest that is acknowledged says nothing any more */
        memmove(r->changes, r->changes + 1, (WORLD_CHANGES - 1) * sizeof(r->changes[0]));
        r->count--;
    }
    r->changes[r->count++] = (struct world_change){.state = state, .from = world_now(w)};
}

static struct world_message *note_message(struct world *w, const struct sp_id *id, size_t body_len,
                                          size_t recipients)
{
    struct world_message *m = &w->messages[w->message_count++];

    *m = (struct world_message){
        .id = *id, .body_len = body_len, .rcpt_count = recipients, .asked = world_now(w)};
    return m;
}

/* ---- mail in ---- */

struct bytes_list {
    struct sp_bytes *at;
    size_t count;
};

/* One event of a message, as a relay writes it; in the arena. */
static struct sp_audit_list event_of(struct world *w, const struct sp_id *id, const char *name,
                                     const char *rest)
{
    struct sp_bytes *event = sp_arena_alloc(w->arena, sizeof(*event));
    char id_text[SP_ID_TEXT_LEN + 1];
    char text[EVENT_MAX];

    sp_id_format(id, id_text);
    (void)snprintf(text, sizeof(text), "{\"event\":\"%s\",\"message\":\"%s\",\"tenant\":\"h\"%s}",
                   name, id_text, rest);
    *event = sp_arena_copy(w->arena, sp_bytes_cstr(text));
    return (struct sp_audit_list){event, 1};
}

static struct sp_accept *accept_of(struct world *w, const struct sp_id *id, size_t recipients)
{
    struct sp_accept *a = sp_arena_alloc(w->arena, sizeof(*a));

    a->id = *id;
    a->time_ms = w->clock.wall_ms;
    a->tenant = SP_LIT("h");
    a->sender = SP_LIT("dr@hospital.example");
    a->policy = SP_LIT("41f0");
    a->decisions = sp_arena_alloc(w->arena, 2 * sizeof(*a->decisions));
    a->decision_count = 2;
    a->decisions[0].does = SP_ACCEPT_DO_PROTECT;
    a->decisions[0].rule = SP_LIT("phi");
    a->decisions[1].does = SP_ACCEPT_DO_HOLD;
    a->decisions[1].rule = SP_LIT("hold");
    a->recipients = sp_arena_alloc(w->arena, recipients * sizeof(*a->recipients));
    a->recipient_count = recipients;
    for (size_t i = 0; i < recipients; i++)
        a->recipients[i].address = SP_LIT("p@clinic.example");
    a->audit = event_of(w, id, "message.accepted", "");
    return a;
}

struct answer {
    struct world *world;
    struct world_message *message;
    struct world_message *child;
    uint8_t states[SP_QUEUE_DUE_MAX];
    uint16_t ns[SP_QUEUE_DUE_MAX];
    size_t n_count;
};

static struct answer *answer_new(struct world *w, struct world_message *m)
{
    struct answer *a = sp_calloc(1, sizeof(*a));

    a->world = w;
    a->message = m;
    return a;
}

static void refuse(struct world *w, struct world_message *m)
{
    m->refused = world_now(w) + 1;
    m->may_return = w->queue != NULL && !sp_queue_may_deliver(w->queue);
}

static void on_accepted(void *arg, enum sp_rc rc)
{
    struct answer *a = arg;

    if (!world_is_dead(a->world) && rc == SP_OK)
        a->message->accepted = world_now(a->world);
    else if (!world_is_dead(a->world))
        refuse(a->world, a->message);
    sp_free(a);
}

static void on_finished(void *arg, enum sp_rc rc)
{
    *(enum sp_rc *)arg = rc;
}

/* A finished body. returns: NULL if it could not be written; *rc says why */
static struct sp_queue_body *body_of(struct world *w, const struct sp_id *id, size_t len,
                                     enum sp_rc *rc)
{
    struct sp_queue_body *b = sp_queue_body_new(w->queue, id);
    uint8_t *text = sp_malloc(len);

    memset(text, 'b', len);
    *rc = sp_queue_body_feed(b, sp_bytes(text, len));
    sp_free(text);
    if (*rc == SP_OK) {
        *rc = SP_E_CLOSED;
        sp_queue_body_finish(b, on_finished, rc);
        sp_queue_commit(w->queue);
    }
    if (*rc == SP_OK)
        return b;
    sp_queue_body_free(b);
    return NULL;
}

struct world_message *world_submit(struct world *w, size_t body_len, size_t recipients)
{
    struct sp_queue_accept accept = {.done = on_accepted};
    struct world_message *m;
    struct sp_accept *a;
    struct sp_id id;
    enum sp_rc rc;

    if (w->message_count == WORLD_MESSAGES || w->queue == NULL)
        return NULL;
    fake_clock_advance(&w->clock, 1);
    id = sp_id_new(&w->clock.clock, &w->random.random);
    m = note_message(w, &id, body_len, recipients);
    if (sp_queue_ready(w->queue) != SP_OK) {
        refuse(w, m);
        return m;
    }
    a = accept_of(w, &id, recipients);
    if (world_roll(w, 6) == 0)
        a->recipients[0].decision = 1;
    accept.body = body_of(w, &id, body_len, &rc);
    if (accept.body == NULL) {
        if (!world_is_dead(w))
            refuse(w, m);
        return m;
    }
    accept.accept = a;
    accept.arg = answer_new(w, m);
    sp_queue_accept(w->queue, &accept);
    return m;
}

/* ---- deliveries ---- */

static void on_ended(void *arg, enum sp_rc rc)
{
    struct answer *a = arg;
    size_t now = world_now(a->world);

    for (size_t i = 0; i < a->n_count && rc == SP_OK && !world_is_dead(a->world); i++) {
        struct world_rcpt *r = &a->message->rcpts[a->ns[i]];

        for (size_t k = r->count; k > 0; k--) {
            if (r->changes[k - 1].at != 0 || r->changes[k - 1].state != a->states[i])
                continue;
            r->changes[k - 1].at = now;
            break;
        }
    }
    if (rc == SP_OK && !world_is_dead(a->world) && a->child != NULL)
        a->child->accepted = now;
    sp_free(a);
}

/* A DSN for the first recipient of an outcome. */
static struct sp_queue_body *dsn_of(struct world *w, struct sp_outcome *o, struct answer *answer)
{
    struct sp_queue_body *body;
    struct sp_accept *child;
    enum sp_rc rc;
    struct sp_id id;

    if (w->message_count == WORLD_MESSAGES)
        return NULL;
    fake_clock_advance(&w->clock, 1);
    id = sp_id_new(&w->clock.clock, &w->random.random);
    body = body_of(w, &id, 700, &rc);
    if (body == NULL)
        return NULL;
    child = accept_of(w, &id, 1);
    child->parent = o->id;
    child->kind = SP_ACCEPT_KIND_DSN;
    o->child = child;
    answer->child = note_message(w, &id, 700, 1);
    answer->child->parent = answer->message;
    answer->child->parent_n = answer->ns[0];
    return body;
}

static bool end_one(struct world *w, uint8_t state)
{
    struct sp_result results[SP_QUEUE_DUE_MAX] = {{0}};
    struct sp_queue_body *body = NULL;
    struct sp_queue_due due;
    struct sp_outcome o = {.attempt = 1, .results = results, .time_ms = w->clock.wall_ms};
    int64_t wait_ms = 500;
    struct answer *a;

    if (w->queue == NULL || !sp_queue_may_deliver(w->queue) ||
        !sp_queue_next_due(w->queue, w->clock.wall_ms, &due))
        return false;
    a = answer_new(w, find(w, &due.id));
    sp_assert(a->message != NULL);
    if (w->is_tight && state == SP_RCPT_DEFERRED && world_roll(w, 2) == 0)
        wait_ms = DAY_MS;
    o.id = due.id;
    o.result_count = due.n_count;
    a->n_count = due.n_count;
    memcpy(a->ns, due.ns, sizeof(a->ns));
    o.audit = event_of(w, &due.id, "delivery.attempted", ",\"n\":[0],\"outcome\":\"tried\"");
    if (state == SP_RCPT_RETURNED) {
        body = dsn_of(w, &o, a);
        if (body == NULL)
            state = SP_RCPT_DEFERRED;
    }
    for (size_t i = 0; i < due.n_count; i++) {
        results[i] = (struct sp_result){
            .n = due.ns[i], .state = state, .rung = 2, .next_at_ms = w->clock.wall_ms + wait_ms};
        a->states[i] = state;
        begin(w, &a->message->rcpts[due.ns[i]], state);
        if (state == SP_RCPT_DELIVERED)
            w->sent_to[a->message - w->messages][due.ns[i]]++;
    }
    sp_queue_outcome(w->queue, &o, body, on_ended, a);
    return true;
}

void world_deliver_all(struct world *w, uint8_t state)
{
    for (int i = 0; i < 4 * WORLD_MESSAGES && end_one(w, state); i++)
        world_commit(w);
}

/* ---- people ---- */

static uint8_t state_after(uint8_t type, const struct sp_rcpt *now)
{
    if (type == SP_RECORD_HOLD)
        return SP_RCPT_HELD;
    if (type == SP_RECORD_DELETE)
        return SP_RCPT_DELETED;
    return now->attempts == 0 ? SP_RCPT_PENDING : SP_RCPT_DEFERRED;
}

static void act_on_one(struct world *w, uint8_t type)
{
    struct world_message *m =
        w->message_count == 0 ? NULL : &w->messages[world_roll(w, w->message_count)];
    struct sp_act act = {.reason = SP_LIT("dice"), .time_ms = w->clock.wall_ms};
    struct sp_queue_message *found = NULL;
    struct answer *a;

    if (m == NULL || w->queue == NULL || sp_queue_load(w->queue, &m->id, &found) != SP_OK)
        return;
    a = answer_new(w, m);
    act.id = m->id;
    act.audit = event_of(w, &m->id, "admin.acted", "");
    for (uint16_t n = 0; n < m->rcpt_count; n++) {
        if (found->busy[n] || !sp_queue_act_fits(type, &found->rcpts[n]))
            continue;
        a->states[a->n_count] = state_after(type, &found->rcpts[n]);
        begin(w, &m->rcpts[n], a->states[a->n_count]);
        a->ns[a->n_count++] = n;
    }
    sp_queue_message_free(found);
    sp_queue_act(w->queue, type, &act, on_ended, a);
}

static void on_redirected(void *arg, enum sp_rc rc)
{
    struct answer *a = arg;

    if (rc == SP_OK && !world_is_dead(a->world)) {
        a->message->rcpts[a->ns[0]].moved_at = world_now(a->world);
        if (a->world->met != NULL)
            a->world->met->redirected++;
    }
    on_ended(a, rc);
}

/* Whether the recipient can be sent elsewhere: it waits, nobody of the message is busy, and it never was before. */
static bool may_move(const struct world_message *m, const struct sp_queue_message *found,
                     uint16_t n)
{
    for (size_t i = 0; i < m->rcpt_count; i++)
        if (found->busy[i])
            return false;
    return m->rcpts[n].moved_from == 0 && !sp_rcpt_state_is_final(found->rcpts[n].state);
}

/* One of those that wait. found: out, owned by the caller. returns: NULL if none was hit upon */
static struct world_message *pick_living(struct world *w, struct sp_queue_message **found)
{
    for (int i = 0; i < 8 && w->message_count > 0 && w->queue != NULL; i++) {
        struct world_message *m = &w->messages[world_roll(w, w->message_count)];

        if (sp_queue_load(w->queue, &m->id, found) == SP_OK)
            return m;
    }
    return NULL;
}

/* A recipient gets another address, and begins anew. */
static void redirect_one(struct world *w)
{
    struct sp_queue_change change = {.address = SP_LIT(WORLD_OTHER),
                                     .decision = {.does = SP_ACCEPT_DO_PROTECT}};
    struct sp_queue_redirect r = {.changes = &change, .n_count = 1, .policy = SP_LIT("41f0")};
    struct sp_queue_message *found = NULL;
    struct world_message *m = pick_living(w, &found);
    struct answer *a;

    if (m == NULL)
        return;
    change.n = (uint16_t)world_roll(w, m->rcpt_count);
    if (may_move(m, found, change.n)) {
        a = answer_new(w, m);
        a->ns[0] = change.n;
        a->states[0] =
            found->rcpts[change.n].state == SP_RCPT_HELD ? SP_RCPT_HELD : SP_RCPT_PENDING;
        a->n_count = 1;
        begin(w, &m->rcpts[change.n], a->states[0]);
        m->rcpts[change.n].moved_from = world_now(w);
        r.id = m->id;
        r.audit = event_of(w, &m->id, "admin.acted", "");
        sp_queue_redirect(w->queue, &r, on_redirected, a);
    }
    sp_queue_message_free(found);
}

static void on_act(struct sp_journal_append *append, enum sp_rc rc)
{
    struct world_act *a = append->arg;

    a->busy = false;
    if (rc == SP_OK && !world_is_dead(a->world))
        a->done = world_now(a->world);
    sp_buf_clear(&a->meta);
}

/* An act of the ledger's own: a log-in, a page opened. */
static void ledger_act(struct world *w)
{
    struct world_act *a = &w->act[w->act_count];
    struct sp_act act = {.time_ms = w->clock.wall_ms};
    struct sp_bytes event;
    char text[EVENT_MAX];

    if (w->act_count == WORLD_ACTS || w->own == NULL)
        return;
    (void)snprintf(text, sizeof(text), "{\"event\":\"admin.acted\",\"what\":\"number-%zu.\"}",
                   w->act_count);
    event = sp_arena_copy(w->arena, sp_bytes_cstr(text));
    act.audit = (struct sp_audit_list){&event, 1};
    *a = (struct world_act){.world = w, .asked = world_now(w), .busy = true};
    sp_buf_init(&a->meta, SP_RECORD_META_MAX);
    sp_assert(sp_act_encode(&act, &a->meta) == SP_OK);
    a->append = (struct sp_journal_append){.type = SP_RECORD_ACT,
                                           .class = SP_JOURNAL_ASKED,
                                           .meta = sp_buf_bytes(&a->meta),
                                           .done = on_act,
                                           .arg = a};
    w->act_count++;
    sp_journal_append(w->own, &a->append);
}

/* ---- a step ---- */

static void people(struct world *w)
{
    switch (world_roll(w, 6)) {
    case 0:
        act_on_one(w, SP_RECORD_DELETE);
        break;
    case 1:
    case 2:
        act_on_one(w, SP_RECORD_HOLD);
        break;
    case 3:
        act_on_one(w, SP_RECORD_RELEASE);
        break;
    default:
        ledger_act(w);
        break;
    }
}

static void restart(struct world *w)
{
    if (world_roll(w, 3) != 0) {
        power_disk_freeze_in(w->disk, 1 + world_roll(w, 12));
        for (int i = 0; i < 3; i++) { /* killed in the middle of this */
            (void)world_submit(w, 3000, 1);
            (void)end_one(w, SP_RCPT_DELIVERED);
            world_commit(w);
        }
        world_kill(w);
        return;
    }
    world_commit(w);
    world_close(w);
    (void)world_open(w);
}

/* Another generation of the content key; the next one only when this one's keyring is known to be on disk. */
static void rotate(struct world *w)
{
    static const char event[] = "{\"event\":\"key.rotated\",\"key\":\"content\"}";

    if (w->is_renewed && w->generation_count < WORLD_GENERATIONS) {
        struct sp_journal_keys *keys = &w->keys;

        keys->old_content = keys->content;
        memcpy(keys->old_kek_id, keys->kek_id, sizeof(keys->kek_id));
        keys->content.b[0]++;
        keys->kek_id[0]++;
        w->generations[w->generation_count++] =
            (struct world_generation){.at = world_now(w), .keys = *keys};
        w->is_renewed = false;
    }
    if (!w->is_renewed)
        w->is_renewed =
            sp_queue_rekey(w->queue, &w->keys, sp_bytes(event, sizeof(event) - 1)) == SP_OK;
}

void world_step(struct world *w)
{
    static const size_t lens[] = {200, 3000, 3000, 20000, 60000, 60000, 300000};
    static const size_t tight_lens[] = {200, 200, 600, 600, 3000, 6000, 20000};
    static const uint8_t ends[] = {SP_RCPT_DELIVERED, SP_RCPT_DELIVERED, SP_RCPT_DELIVERED,
                                   SP_RCPT_DEFERRED, SP_RCPT_RETURNED};
    size_t len;

    fake_clock_advance(&w->clock, 100);
    if (w->queue == NULL && world_open(w) != SP_OK)
        return;
    switch (world_roll(w, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        len = (w->is_tight ? tight_lens : lens)[world_roll(w, SP_ARRAY_LEN(lens))];
        (void)world_submit(w, len, 1 + world_roll(w, WORLD_RECIPIENTS));
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        (void)end_one(w, ends[world_roll(w, SP_ARRAY_LEN(ends))]);
        break;
    case 8:
        people(w);
        break;
    case 9:
    case 10:
        world_turn(w);
        if (w->message_count % 5 == 4)
            rotate(w);
        break;
    case 11:
        if (!w->is_calm && world_roll(w, 8) == 0)
            restart(w);
        break;
    case 12:
        if (w->is_tight)
            redirect_one(w);
        else
            world_commit(w);
        break;
    default:
        world_commit(w);
        break;
    }
    if (w->is_tight && world_roll(w, 2) == 0)
        world_commit(w);
}

void world_past(struct world *w)
{
    for (int i = 0; w->is_tight && i < WORLD_PAST; i++)
        world_step(w);
}

void world_steps(struct world *w, int steps)
{
    if (w->is_tight)
        steps = steps * 2 / 5;
    for (int i = 0; i < steps; i++)
        world_step(w);
    world_commit(w);
    world_turn(w);
}
