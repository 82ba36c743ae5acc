/*
 * queue.list: a page of the relay's messages in the order of their ids, from all its shards. Each shard writes its own
 * page; then they are merged. Where a shard has more than it could tell, the merged page ends at the last id that it told or, if
 * it looked through many that were not for who asks, looked at, so that what others told beyond it is asked for again with the next
 * page and nothing is skipped. A page may be empty and yet not the last.
 *
 *     {"command": "queue.list", "state": "held", "sender": T, "recipient": T, "tenant": T, "rule": R, "after": ID,
 *      "limit": N, "site": DOMAIN, "host": NAME}          -> {"messages": [...], "next": ID or null}
 */
#include <stdlib.h>

#include "gateway/relay/command.h"

#include "queue/list.h"

#define PAGE_BYTES    ((size_t)2 << 20) /* a page ends when it is so long */
#define PAGE_MESSAGES 1000

struct item {
    struct sp_id id;
    size_t at; /* in page.json */
    size_t len;
};

struct page {
    struct relay_task task;
    struct sp_queue_query query;
    struct sp_queue_listing *listing;
    struct relay *shard;       /* that is being asked */
    struct relay_where *where; /* its destinations that are meant; NULL: all */
    struct sp_buf json;        /* objects, one behind the other */
    struct item *items;
    size_t count;
    size_t cap;
    size_t from;       /* first item of the shard that is being asked */
    size_t from_bytes; /* and where its text begins */
    size_t limit;
    bool is_full; /* of that shard: a message did not fit */
    bool more;    /* behind end, which is the least end of the shards' pages */
    struct sp_id end;
};

/* returns: whether it may be told to who asks, who learns nothing of recipients that are not his, from a filter neither */
static bool is_told(const struct page *page, const struct sp_queue_message *m)
{
    struct sp_bytes recipient = sp_json_text_of(page->task.q.ask, "recipient");
    struct sp_bytes rule = sp_json_text_of(page->task.q.ask, "rule");
    bool is_recipient = false, is_rule = false, is_there = page->where == NULL;

    if (sp_json_find(page->task.q.ask, "approver_of") == NULL)
        return true; /* the queue has asked */
    for (size_t n = 0; n < m->accept.recipient_count; n++) {
        const struct sp_accept_recipient *to = &m->accept.recipients[n];

        if (!relay_is_for(&page->task.q, m, n))
            continue;
        is_recipient = is_recipient || sp_bytes_has_nocase(to->address, recipient);
        is_rule =
            is_rule || rule.len == 0 || sp_bytes_eq(m->accept.decisions[to->decision].rule, rule);
        is_there = is_there ||
                   relay_where_is(page->where,
                                  sp_queue_destination(page->shard->queue, &m->accept.id, n), 0);
    }
    return is_recipient && is_rule && is_there;
}

static void on_message(void *arg, const struct sp_queue_message *m)
{
    struct page *page = arg;
    struct item *item;
    struct sp_jw w;

    if (!is_told(page, m))
        return;
    if (page->count - page->from >= page->limit || page->json.len - page->from_bytes > PAGE_BYTES) {
        page->is_full = true;
        return;
    }
    if (page->count == page->cap) {
        page->cap = page->cap == 0 ? 64 : page->cap * 2;
        page->items = sp_realloc(page->items, page->cap * sizeof(*page->items));
    }
    item = &page->items[page->count++];
    *item = (struct item){.id = m->accept.id, .at = page->json.len};
    sp_jw_init(&w, &page->json);
    relay_put_message(page->shard, &page->task.q, m, NULL, &w);
    item->len = page->json.len - item->at;
}

static bool read_query(const struct relay_question *q, struct sp_queue_query *query)
{
    struct sp_bytes state = sp_json_text_of(q->ask, "state");
    struct sp_bytes after = sp_json_text_of(q->ask, "after");

    query->quarantined_only = sp_bytes_eq(state, SP_LIT("quarantined"));
    query->state = state.len == 0 || query->quarantined_only ? -1 : sp_queue_state_find(state);
    if (state.len == 0 && sp_json_find(q->ask, "approver_of") != NULL)
        query->state = SP_RCPT_HELD; /* the index tells these, no record of others is read */
    query->sender = sp_json_text_of(q->ask, "sender");
    query->tenant = sp_json_text_of(q->ask, "tenant");
    if (sp_json_find(q->ask, "approver_of") == NULL) {
        query->recipient = sp_json_text_of(q->ask, "recipient");
        query->rule = sp_json_text_of(q->ask, "rule");
    }
    query->limit = (size_t)sp_json_int_of(q->ask, "limit", PAGE_MESSAGES - 1) + 1;
    if (sp_json_find(q->ask, "approver_of") != NULL)
        query->limit = PAGE_MESSAGES; /* most may be for others */
    if (state.len > 0 && query->state < 0 && !query->quarantined_only)
        return false;
    if (after.len == 0)
        return true;
    if (!sp_id_parse(after, &query->after))
        return false;
    query->after = sp_queue_list_behind(&query->after);
    return true;
}

static bool goes_there(void *arg, struct sp_bytes destination, sp_handle line)
{
    struct page *page = arg;

    return relay_where_is(page->where, destination, line);
}

/* One look over a shard's index and a thousand records: who asks can ask on. */
static void begin_shard(struct page *page, struct relay *shard)
{
    const struct sp_json *ask = page->task.q.ask;

    page->shard = shard;
    page->where = relay_where_new(shard, ask);
    page->query.goes_there =
        page->where != NULL && sp_json_find(ask, "approver_of") == NULL ? goes_there : NULL;
    page->from = page->count;
    page->from_bytes = page->json.len;
    page->is_full = false;
    page->listing = sp_queue_listing_new(shard->queue, &page->query);
}

static void end_shard(struct page *page)
{
    struct sp_id last;
    bool more = sp_queue_listing_more(page->listing, &last) || page->is_full;

    if (page->is_full || page->count - page->from >= page->limit)
        last = page->items[page->count - 1].id; /* what was looked at behind it was not told */
    if (more && (!page->more || memcmp(last.b, page->end.b, SP_ID_LEN) < 0))
        page->end = last;
    page->more |= more;
    relay_where_free(page->where);
    page->where = NULL;
    sp_queue_listing_free(page->listing);
    page->listing = NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct item *)a)->id.b, ((const struct item *)b)->id.b, SP_ID_LEN);
}

/* All shards' pages as one. */
static void reply_page(struct page *page)
{
    struct sp_bytes text = sp_buf_bytes(&page->json);
    const struct sp_id *last = page->more ? &page->end : NULL;
    struct sp_buf json;
    struct sp_jw w;

    if (page->count > 1)
        qsort(page->items, page->count, sizeof(*page->items), compare);
    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "messages");
    for (size_t i = 0; i < page->count; i++) {
        const struct item *item = &page->items[i];

        if (page->more && memcmp(item->id.b, page->end.b, SP_ID_LEN) > 0)
            break;
        if (i >= page->limit || (i > 0 && json.len + item->len > PAGE_BYTES)) {
            last = &page->items[i - 1].id; /* one is told always */
            break;
        }
        sp_jw_raw(&w, NULL, sp_bytes_slice(text, item->at, item->len));
    }
    sp_jw_end(&w);
    if (last != NULL)
        sp_jw_id(&w, "next", last->b);
    else
        sp_jw_null(&w, "next");
    sp_jw_end(&w);
    relay_reply_json(page->task.q.job, SP_OK, &json);
    sp_buf_clear(&json);
}

void relay_reply_no_state(const struct relay_question *q)
{
    struct sp_buf detail;

    sp_buf_init(&detail, 512);
    sp_buf_put_cstr(&detail, "state:");
    for (int i = 0; i < SP_RCPT_STATE_COUNT; i++)
        sp_buf_printf(&detail, " %s,", sp_rcpt_state_name((uint8_t)i));
    sp_buf_put_cstr(&detail, " in-delivery, frozen or quarantined");
    sp_buf_put_u8(&detail, 0);
    relay_reply_error(q->job, SP_E_USAGE, (const char *)detail.ptr);
    sp_buf_clear(&detail);
}

static bool step(struct relay_task *task)
{
    struct page *page = (struct page *)task;

    if (sp_queue_listing_step(page->listing))
        return true;
    end_shard(page);
    if (page->shard->left != NULL) {
        begin_shard(page, page->shard->left);
        return true;
    }
    reply_page(page);
    return false;
}

static void clear(struct relay_task *task)
{
    struct page *page = (struct page *)task;

    relay_where_free(page->where);
    sp_queue_listing_free(page->listing);
    sp_buf_clear(&page->json);
    sp_free(page->items);
}

static void start(struct relay *r, const struct relay_question *q, size_t limit)
{
    struct page *page = sp_calloc(1, sizeof(*page));

    page->limit = limit;
    page->task.step = step;
    page->task.clear = clear;
    sp_buf_init(&page->json, (size_t)64 << 20);
    relay_task_start(&page->task, r, q);
    (void)read_query(&page->task.q, &page->query); /* again, of the question that stays */
    page->query.visit = on_message;
    page->query.arg = page;
    begin_shard(page, r);
}

/* Of others than the held nothing is an approver's. */
static void reply_none(const struct relay_question *q)
{
    struct sp_buf json;

    sp_buf_init(&json, 64);
    sp_buf_put_cstr(&json, "{\"messages\":[],\"next\":null}");
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

void relay_list(struct relay *r, const struct relay_question *q)
{
    int64_t limit = sp_json_int_of(q->ask, "limit", PAGE_MESSAGES);
    struct sp_queue_query query = {.state = -1};

    if (!read_query(q, &query) || limit < 1 || limit > PAGE_MESSAGES) {
        if (query.state < 0 && !query.quarantined_only && sp_json_text_of(q->ask, "state").len > 0)
            relay_reply_no_state(q);
        else
            relay_reply_error(q->job, SP_E_USAGE, "after: a message's id; limit: 1 to 1000");
    } else if (sp_json_find(q->ask, "approver_of") != NULL && query.state != SP_RCPT_HELD) {
        reply_none(q);
    } else {
        start(r, q, (size_t)limit);
    }
}
