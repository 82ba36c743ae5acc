/*
 * Postures: a relay asks for the whole list when it starts, page by page, each behind the last name of the one before,
 * until a page is empty; afterwards each change is told to every relay, the one it
 * came from included, which then finds nothing new in it. A relay that is not there now asks when it comes.
 */
#include "gateway/ledger/ledger.h"

#include "jobs/posture.h"

#define PAGE_MAX     4000
#define PAGE_LEN     ((size_t)4 << 20)
#define TEXT_MAX     ((size_t)16 << 20)
#define TELL_MAX     128 /* changes in one message */
#define TELL_TIMEOUT 30000

static struct sp_jobs_posture_entry entry_of(const struct sp_audit_posture *p)
{
    return (struct sp_jobs_posture_entry){
        .domain = p->domain,
        .best = p->proved_at_ms == 0 ? SP_LIT("") : sp_bytes_cstr(sp_floor_name(p->best)),
        .proved_at_ms = p->proved_at_ms,
        .accepted_at_ms = p->accepted_at_ms,
        .sts = p->sts,
        .sts_id = p->sts_id,
        .sts_until_ms = p->sts_until_ms,
    };
}

struct page {
    struct sp_arena *arena;
    struct sp_jobs_posture_entry *entries;
    size_t count;
    size_t len;
};

static bool add_to_page(void *arg, const struct sp_audit_posture *p)
{
    struct page *page = arg;
    struct sp_jobs_posture_entry *e = &page->entries[page->count++];

    *e = entry_of(p);
    e->domain = sp_arena_copy(page->arena, p->domain);
    e->sts = sp_arena_copy(page->arena, p->sts);
    e->sts_id = sp_arena_copy(page->arena, p->sts_id);
    page->len += e->domain.len + e->sts.len + 128;
    return page->count < PAGE_MAX && page->len < PAGE_LEN;
}

/* What is durable in the journals counts as known: it is folded first. */
static void on_list(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct page page = {.arena = arena};
    struct sp_jobs_posture list;
    struct sp_err err = {0};
    struct sp_buf out;
    enum sp_rc rc = sp_jobs_posture_decode(sp_jobs_job_payload(job), arena, &list);

    sp_buf_init(&out, TEXT_MAX);
    page.entries = sp_calloc(PAGE_MAX, sizeof(*page.entries));
    if (rc == SP_OK && list.entry_count == 0)
        ledger_tail_now(l);
    if (rc == SP_OK)
        rc = sp_audit_book_postures(l->book,
                                    list.entry_count > 0 ? list.entries[0].domain : SP_LIT(""),
                                    add_to_page, &page, &err);
    if (rc == SP_OK) {
        list = (struct sp_jobs_posture){
            .op = SP_JOBS_POSTURE_LIST, .entries = page.entries, .entry_count = page.count};
        sp_jobs_posture_encode(&out, &list);
        rc = sp_buf_rc(&out);
    }
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&out);
    sp_free(page.entries);
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct ledger *l = arg;

    (void)reply;
    if (rc != SP_OK && rc != SP_E_ROLE_GONE)
        sp_log_warn(l->log, "ledger.posture-untold", SP_RC("why", rc));
}

static void tell_all(struct ledger *l, struct sp_bytes payload)
{
    unsigned index;
    size_t at = 0;

    while (sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index)) {
        struct sp_jobs_request request = {.role = SP_ROLE_RELAY,
                                          .index = index,
                                          .type = SP_JOBS_POSTURE,
                                          .payload = payload,
                                          .timeout_ms = TELL_TIMEOUT};

        sp_jobs_call(l->jobs, &request, on_told, l);
    }
}

void ledger_posture_tell(struct ledger *l)
{
    struct sp_jobs_posture_entry *entries;
    struct sp_jobs_posture list = {.op = SP_JOBS_POSTURE_CHANGED};
    struct sp_audit_posture p;
    struct sp_buf out;

    if (!sp_audit_book_posture_changed(l->book, &p))
        return;
    entries = sp_calloc(TELL_MAX, sizeof(*entries));
    list.entries = entries;
    sp_buf_init(&out, TEXT_MAX);
    do {
        entries[list.entry_count++] = entry_of(&p);
        if (list.entry_count < TELL_MAX)
            continue;
        sp_jobs_posture_encode(&out, &list);
        tell_all(l, sp_buf_bytes(&out));
        sp_buf_reset(&out);
        list.entry_count = 0;
    } while (sp_audit_book_posture_changed(l->book, &p));
    if (list.entry_count > 0) {
        sp_jobs_posture_encode(&out, &list);
        tell_all(l, sp_buf_bytes(&out));
    }
    sp_buf_clear(&out);
    sp_free(entries);
}

enum sp_rc ledger_posture_check(const struct ledger *l, const struct sp_json *event)
{
    struct sp_bytes domain = sp_json_text_of(sp_json_find(event, "sts"), "domain");

    if (!sp_bytes_eq(sp_json_text_of(event, "event"), SP_LIT("evidence.renewed")))
        return SP_OK;
    return sp_audit_book_policy_is(l->book, domain, sp_json_text_of(event, "digest"))
               ? SP_OK
               : SP_E_NOT_FOUND;
}

void ledger_posture_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_POSTURE, on_list, l);
}
