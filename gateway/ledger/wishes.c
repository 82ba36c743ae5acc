/*
 * What recipients have chosen in the portal: for relays that start, page by page; changes for all; one for the portal's page; and
 * for the command line, which lists them beside the registry and may take one out.
 */
#include "audit/wishes.h"

#include "base/text.h"
#include "gateway/ledger/ledger.h"
#include "jobs/command.h"
#include "jobs/wishes.h"

#define PAGE_LEN     ((size_t)1 << 20) /* a page of the list ends behind it */
#define PAGE_MAX     2000
#define TEXT_MAX     ((size_t)4 << 20)
#define REPLY_MAX    SP_JOBS_COMMAND_MAX
#define ADDRESS_MAX  320
#define TELL_TIMEOUT 30000
#define AGAIN_MS     5000

static struct sp_jobs_wish entry_of(const struct sp_audit_wish *w)
{
    return (struct sp_jobs_wish){.tenant = w->tenant,
                                 .address = w->address,
                                 .preference = (uint8_t)w->wish.preference,
                                 .given_ms = w->wish.given_ms,
                                 .until_ms = w->wish.until_ms,
                                 .removed = w->removed};
}

/* ---- for relays and the portal ---- */

struct page {
    struct sp_arena *arena;
    struct sp_jobs_wish entries[PAGE_MAX];
    size_t count;
    size_t len;
};

static bool add(void *arg, const struct sp_audit_wish *w)
{
    struct page *p = arg;
    struct sp_jobs_wish e = entry_of(w);

    e.tenant = sp_arena_copy(p->arena, w->tenant);
    e.address = sp_arena_copy(p->arena, w->address);
    p->entries[p->count++] = e;
    p->len += e.tenant.len + e.address.len;
    return p->count < PAGE_MAX && p->len < PAGE_LEN;
}

static enum sp_rc find(struct ledger *l, const struct sp_jobs_wishes *ask, struct page *p)
{
    struct sp_audit_wish w = {0};
    struct sp_err err = {0};
    enum sp_rc rc;

    if (ask->entry_count != 1)
        return SP_E_MALFORMED;
    w.tenant = ask->entries[0].tenant;
    w.address = ask->entries[0].address;
    rc = sp_audit_book_wish_find(l->book, w.tenant, w.address, &w.wish, &err);
    if (rc == SP_OK)
        (void)add(p, &w);
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

static enum sp_rc answer(struct ledger *l, const struct sp_jobs_wishes *ask, struct page *p)
{
    struct sp_err err = {0};
    bool begins = ask->entry_count == 0;

    if (begins || ask->op == SP_JOBS_WISHES_FIND)
        ledger_tail_now(l); /* what is durable in the journals counts as known */
    if (ask->op == SP_JOBS_WISHES_FIND)
        return find(l, ask, p);
    return sp_audit_book_wishes(l->book, begins ? SP_LIT("") : ask->entries[0].tenant,
                                begins ? SP_LIT("") : ask->entries[0].address, add, p, &err);
}

static void on_ask(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct page *p = sp_calloc(1, sizeof(*p));
    struct sp_jobs_wishes list;
    struct sp_buf out;
    enum sp_rc rc = sp_jobs_wishes_decode(sp_jobs_job_payload(job), arena, &list);

    p->arena = arena;
    sp_buf_init(&out, TEXT_MAX);
    if (rc == SP_OK)
        rc = answer(l, &list, p);
    if (rc == SP_OK) {
        list =
            (struct sp_jobs_wishes){.op = list.op, .entries = p->entries, .entry_count = p->count};
        sp_jobs_wishes_encode(&out, &list);
        rc = sp_buf_rc(&out);
    }
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&out);
    sp_free(p);
}

/* ---- changes for relays ---- */

/* One that was told of a change, kept as long as the ledger runs. */
struct wish_relay {
    struct sp_list link;
    struct ledger *l;
    unsigned index;
    bool untold; /* of some change: it is to ask for the whole list */
};

static struct wish_relay *relay_of(struct ledger *l, unsigned index)
{
    struct wish_relay *r;

    SP_LIST_EACH(node, &l->wish_relays)
    {
        r = SP_CONTAINER(node, struct wish_relay, link);
        if (r->index == index)
            return r;
    }
    r = sp_calloc(1, sizeof(*r));
    r->l = l;
    r->index = index;
    sp_list_init(&r->link);
    sp_list_append(&l->wish_relays, &r->link);
    return r;
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct wish_relay *r = arg;

    (void)reply;
    if (rc == SP_OK || rc == SP_E_ROLE_GONE) /* one that comes again asks */
        return;
    sp_log_warn(r->l->log, "ledger.wishes-untold", SP_RC("why", rc));
    r->untold = true;
    sp_timer_start(r->l->wish_again, AGAIN_MS);
}

static void tell(struct wish_relay *r, struct sp_bytes payload)
{
    struct sp_jobs_request request = {.role = SP_ROLE_RELAY,
                                      .index = r->index,
                                      .type = SP_JOBS_WISHES,
                                      .payload = payload,
                                      .timeout_ms = TELL_TIMEOUT};

    sp_jobs_call(r->l->jobs, &request, on_told, r);
}

static void tell_all(struct ledger *l, struct sp_audit_wish *w)
{
    struct sp_jobs_wish e = entry_of(w);
    struct sp_jobs_wishes list = {.op = SP_JOBS_WISHES_CHANGED, .entries = &e, .entry_count = 1};
    struct sp_buf out;
    unsigned index;
    size_t at = 0;

    sp_buf_init(&out, TEXT_MAX);
    sp_jobs_wishes_encode(&out, &list);
    while (sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index))
        tell(relay_of(l, index), sp_buf_bytes(&out));
    sp_buf_clear(&out);
}

/* The change itself may be older by now than what such a relay knows, so it is told to ask anew. */
static void on_again(void *arg)
{
    struct ledger *l = arg;
    struct sp_jobs_wishes none = {.op = SP_JOBS_WISHES_CHANGED};
    struct sp_buf out;

    sp_buf_init(&out, TEXT_MAX);
    sp_jobs_wishes_encode(&out, &none);
    SP_LIST_EACH(node, &l->wish_relays)
    {
        struct wish_relay *r = SP_CONTAINER(node, struct wish_relay, link);

        if (r->untold)
            tell(r, sp_buf_bytes(&out));
        r->untold = false;
    }
    sp_buf_clear(&out);
}

void ledger_wishes_tell(struct ledger *l)
{
    struct sp_audit_wish w;

    while (sp_audit_book_wish_changed(l->book, &w))
        tell_all(l, &w);
}

void ledger_wishes_serve(struct ledger *l)
{
    l->wish_again = sp_timer_new(l->loop, on_again, l);
    sp_jobs_serve(l->jobs, SP_JOBS_WISHES, on_ask, l);
}

void ledger_wishes_free(struct ledger *l)
{
    if (l->wish_again != NULL)
        sp_timer_free(l->wish_again);
    SP_LIST_EACH(node, &l->wish_relays)
    {
        sp_list_remove(node);
        sp_free(SP_CONTAINER(node, struct wish_relay, link));
    }
}

enum sp_rc ledger_wishes_check(struct ledger *l, const struct sp_json *event)
{
    bool sets = sp_bytes_eq(sp_json_text_of(event, "event"), SP_LIT("preference.changed")) &&
                sp_bytes_eq(sp_json_text_of(event, "source"), SP_LIT("recipient")) &&
                sp_bytes_eq(sp_json_text_of(event, "change"), SP_LIT("set"));

    struct sp_err err = {0};

    return sets ? sp_audit_book_wish_fits(l->book, sp_json_text_of(event, "tenant"),
                                          sp_json_text_of(event, "recipient"), &err)
                : SP_OK;
}

/* ---- for people ---- */

struct listing {
    struct sp_jw w;
    struct sp_buf json;
    struct sp_bytes address; /* of whom; empty: of all */
    bool cut;
};

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, time);
    sp_jw_cstr(w, key, time);
}

static bool list_one(void *arg, const struct sp_audit_wish *w)
{
    struct listing *list = arg;

    if (list->address.len > 0 && !sp_bytes_eq_nocase(list->address, w->address))
        return true;
    list->cut = list->json.len > REPLY_MAX / 2;
    if (list->cut)
        return false;
    sp_jw_object(&list->w, NULL);
    sp_jw_text(&list->w, "tenant", w->tenant);
    sp_jw_text(&list->w, "recipient", w->address);
    sp_jw_cstr(&list->w, "preference",
               sp_fact_value_name(SP_FACT_RECIPIENT_PREFERENCE, w->wish.preference));
    put_time(&list->w, "given", w->wish.given_ms);
    put_time(&list->w, "until", w->wish.until_ms);
    sp_jw_cstr(&list->w, "by", "recipient, in the portal");
    sp_jw_end(&list->w);
    return true;
}

void ledger_wishes_list(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct listing list = {.address = sp_json_text_of(q->ask, "address")};
    struct sp_err err = {0};
    enum sp_rc rc;

    ledger_tail_now(l);
    sp_buf_init(&list.json, REPLY_MAX);
    sp_jw_init(&list.w, &list.json);
    sp_jw_object(&list.w, NULL);
    sp_jw_array(&list.w, "preferences");
    rc = sp_audit_book_wishes(l->book, SP_LIT(""), SP_LIT(""), list_one, &list, &err);
    sp_jw_end(&list.w);
    sp_jw_bool(&list.w, "complete", !list.cut);
    sp_jw_end(&list.w);
    if (rc == SP_OK)
        ledger_reply_json(job, sp_buf_rc(&list.json), sp_buf_bytes(&list.json));
    else
        ledger_reply_error(job, rc, err.text);
    sp_buf_clear(&list.json);
}

/* The tenants with which an address has a wish. */
struct tenant {
    struct tenant *next;
    struct sp_bytes name;
};

struct tenants {
    struct sp_arena *arena;
    struct sp_bytes address;
    struct tenant *first;
};

static bool note_tenant(void *arg, const struct sp_audit_wish *w)
{
    struct tenants *t = arg;
    struct tenant *one;

    if (!sp_bytes_eq_nocase(t->address, w->address))
        return true;
    one = sp_arena_alloc(t->arena, sizeof(*one));
    *one = (struct tenant){.next = t->first, .name = sp_arena_copy(t->arena, w->tenant)};
    t->first = one;
    return true;
}

static enum sp_rc say_removed(struct ledger *l, const struct ledger_question *q,
                              struct sp_bytes tenant, struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "preference.changed");
    sp_jw_text(&w, "tenant", tenant);
    sp_jw_cstr(&w, "change", "removed");
    sp_jw_cstr(&w, "source", "recipient");
    sp_jw_text(&w, "recipient", sp_json_text_of(q->ask, "address"));
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    ledger_request_put(q, &w);
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc;
}

void ledger_wishes_forget(struct ledger *l, struct sp_jobs_job *job,
                          const struct ledger_question *q)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct tenants t = {.arena = arena, .address = sp_json_text_of(q->ask, "address")};
    struct sp_err err = {0};
    enum sp_rc rc = SP_E_USAGE;

    if (ledger_request_is_done(l, q)) {
        ledger_reply_json(job, SP_OK, SP_LIT("{\"done\":true}"));
        return;
    }
    if (t.address.len > 0 && t.address.len <= ADDRESS_MAX &&
        sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len > 0) {
        ledger_tail_now(l);
        rc = sp_audit_book_wishes(l->book, SP_LIT(""), SP_LIT(""), note_tenant, &t, &err);
        if (rc == SP_OK && t.first == NULL)
            rc = SP_E_NOT_FOUND;
    }
    for (const struct tenant *one = t.first; one != NULL && rc == SP_OK; one = one->next)
        rc = say_removed(l, q, one->name, &err);
    if (rc == SP_OK)
        rc = sp_audit_book_commit(l->book, &err);
    if (rc == SP_E_STORE_FAILED)
        sp_role_fail(l->role, &err);
    ledger_wishes_tell(l);
    ledger_tail_poke(l);
    if (rc == SP_OK)
        ledger_request_done(l, q);
    if (rc == SP_OK)
        ledger_reply_json(job, SP_OK, SP_LIT("{\"done\":true}"));
    else
        ledger_reply_error(job, rc,
                           rc == SP_E_NOT_FOUND ? "this recipient has chosen nothing"
                           : rc == SP_E_USAGE   ? "address and reason are needed"
                                                : err.text);
}
