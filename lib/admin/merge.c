/*
 * Making one answer of many. For a command about one message the relay that has it decides; if nobody has it, but one did
 * not answer, nobody knows. Pages of a list are merged by id; where one relay has more than it could tell, the merged
 * page ends at its last id, and what others told beyond is asked for again with the next page. So it is where the page gets long.
 */
#include "admin/admin_priv.h"
#include "base/text.h"

#define RESULT_MAX ((size_t)16 << 20)
#define DETAIL_MAX 2048
#define PAGE_BYTES                                                                                 \
    ((size_t)4 << 20) /* a merged page ends when it is so long, however many relays have told one */

void sp_admin_put_error(struct sp_buf *out, const char *error, struct sp_bytes detail)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_bool(&w, "ok", false);
    sp_jw_cstr(&w, "error", error);
    sp_jw_text(&w, "detail", detail);
    sp_jw_end(&w);
}

bool sp_admin_is_unknown(const struct sp_admin_answer *a)
{
    return a->rc == SP_E_ROLE_GONE || a->rc == SP_E_JOB_DEADLINE || a->rc == SP_E_IPC_FULL ||
           (a->rc == SP_OK && a->json == NULL);
}

static void put_unknown(const struct sp_admin_question *q, struct sp_buf *out)
{
    const char *role = sp_ipc_role_name(q->route->role);
    struct sp_buf detail;
    size_t silent = 0;

    sp_buf_init(&detail, DETAIL_MAX);
    for (size_t i = 0; i < q->count && q->answers[i].index != SP_JOBS_ANY; i++) {
        if (!sp_admin_is_unknown(&q->answers[i]))
            continue;
        sp_buf_printf(&detail, "%s %u", silent == 0 ? role : ",", q->answers[i].index);
        silent++;
    }
    if (silent == 0)
        sp_buf_printf(&detail, "a %s", role);
    sp_buf_put_cstr(&detail, " did not answer: whether it was done is unknown, repeat");
    sp_admin_put_error(out, "unknown", sp_buf_bytes(&detail));
    sp_buf_clear(&detail);
}

static struct sp_bytes detail_of(const struct sp_admin_answer *a)
{
    struct sp_bytes detail =
        a->json == NULL ? sp_bytes(NULL, 0) : sp_json_text_of(sp_json_root(a->json), "detail");

    return detail.len > 0 ? detail : sp_bytes_cstr(sp_rc_info(a->rc)->text);
}

static void put_failed(const struct sp_admin_answer *a, struct sp_buf *out)
{
    sp_admin_put_error(out, sp_rc_name(a->rc), detail_of(a));
}

void sp_admin_put_result(const struct sp_json *result, uint64_t file_len, struct sp_buf *out)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, RESULT_MAX);
    if (sp_json_canonical(result, &text) != SP_OK) {
        sp_buf_clear(&text);
        sp_admin_put_error(out, sp_rc_name(SP_E_LIMIT), SP_LIT("the answer is too long"));
        return;
    }
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_bool(&w, "ok", true);
    sp_jw_raw(&w, "result", sp_buf_bytes(&text));
    sp_jw_int(&w, "file_len", (int64_t)file_len);
    sp_jw_end(&w);
    sp_buf_clear(&text);
}

static void put_answer(const struct sp_admin_question *q, struct sp_admin_answer *a,
                       struct sp_buf *out)
{
    if (sp_admin_is_unknown(a))
        put_unknown(q, out);
    else if (a->rc != SP_OK)
        put_failed(a, out);
    else
        sp_admin_put_result(sp_json_root(a->json), 0, out);
}

static void merge_owner(struct sp_admin_question *q, struct sp_buf *out)
{
    struct sp_admin_answer *best = &q->answers[0];

    sp_assert(q->count > 0);
    for (size_t i = 1; i < q->count; i++) {
        struct sp_admin_answer *a = &q->answers[i];

        /* an answer beats an unknown, which beats "not here" */
        if (best->rc == SP_E_NOT_FOUND ||
            (sp_admin_is_unknown(best) && !sp_admin_is_unknown(a) && a->rc != SP_E_NOT_FOUND))
            best = a;
    }
    put_answer(q, best, out);
}

struct cursor {
    const struct sp_json *item;
    struct sp_bytes next; /* where its page ends; empty: it told all */
};

static struct sp_bytes id_of(const struct sp_json *item)
{
    return sp_json_text_of(item, "id");
}

static struct cursor *least(struct cursor *cursors, size_t count)
{
    struct cursor *best = NULL;

    for (size_t i = 0; i < count; i++) {
        if (cursors[i].item != NULL &&
            (best == NULL || sp_bytes_cmp(id_of(cursors[i].item), id_of(best->item)) < 0))
            best = &cursors[i];
    }
    return best;
}

/* Where the merged page ends: the least end of those that have more. */
static struct sp_bytes page_end(const struct cursor *cursors, size_t count)
{
    struct sp_bytes end = {0};

    for (size_t i = 0; i < count; i++) {
        if (cursors[i].next.len > 0 && (end.len == 0 || sp_bytes_cmp(cursors[i].next, end) < 0))
            end = cursors[i].next;
    }
    return end;
}

/* end: where it ends; moved to the front if it gets too long. One is told always */
static enum sp_rc put_items(struct cursor *cursors, size_t count, struct sp_bytes *end,
                            struct sp_jw *w)
{
    struct cursor *c;
    struct sp_bytes last = {0};
    size_t bytes = 0;
    struct sp_buf text;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&text, RESULT_MAX);
    while (rc == SP_OK && (c = least(cursors, count)) != NULL) {
        if (bytes > PAGE_BYTES && !sp_bytes_eq(id_of(c->item), last))
            *end = last;
        if (end->len > 0 && sp_bytes_cmp(id_of(c->item), *end) > 0)
            break;
        last = id_of(c->item);
        sp_buf_reset(&text);
        rc = sp_json_canonical(c->item, &text);
        sp_jw_raw(w, NULL, sp_buf_bytes(&text));
        bytes += text.len;
        c->item = c->item->next;
    }
    sp_buf_clear(&text);
    return rc;
}

static size_t open_pages(struct sp_admin_question *q, struct cursor *cursors)
{
    size_t count = 0;

    for (size_t i = 0; i < q->count; i++) {
        const struct sp_json *root;
        const struct sp_json *list;

        if (sp_admin_is_unknown(&q->answers[i]) || q->answers[i].rc != SP_OK)
            continue;
        root = sp_json_root(q->answers[i].json);
        list = sp_json_find(root, "messages");
        cursors[count++] = (struct cursor){.item = list == NULL ? NULL : list->first,
                                           .next = sp_json_text_of(root, "next")};
    }
    return count;
}

/* Which they are, so that who goes on can leave them out. */
static void put_silent(const struct sp_admin_question *q, struct sp_jw *w)
{
    sp_jw_array(w, "silent");
    for (size_t i = 0; i < q->count; i++)
        if (sp_admin_is_unknown(&q->answers[i]) && q->answers[i].index != SP_JOBS_ANY)
            sp_jw_int(w, NULL, (int64_t)q->answers[i].index);
    sp_jw_end(w);
}

static void merge_pages(struct sp_admin_question *q, struct sp_buf *out)
{
    struct cursor *cursors = sp_calloc(q->count, sizeof(*cursors));
    size_t count = open_pages(q, cursors);
    struct sp_bytes end = page_end(cursors, count);
    struct sp_jw w;
    enum sp_rc rc;

    if (count == 0) {
        put_answer(q, &q->answers[0], out);
        sp_free(cursors);
        return;
    }
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_bool(&w, "ok", true);
    sp_jw_object(&w, "result");
    sp_jw_array(&w, "messages");
    rc = put_items(cursors, count, &end, &w);
    sp_jw_end(&w);
    if (end.len > 0)
        sp_jw_text(&w, "next", end);
    else
        sp_jw_null(&w, "next");
    sp_jw_int(&w, "relays", (int64_t)q->count);
    sp_jw_int(&w, "relays_silent", (int64_t)(q->count - count));
    put_silent(q, &w);
    sp_jw_end(&w);
    sp_jw_int(&w, "file_len", 0);
    sp_jw_end(&w);
    sp_free(cursors);
    if (rc != SP_OK)
        sp_buf_reset(out);
}

/* Whether no relay takes the question for one: then the answer is as of one. */
static bool is_no_question(const struct sp_admin_question *q)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->answers[i].rc != SP_E_USAGE)
            return false;
    return q->count > 0;
}

static void merge_each(struct sp_admin_question *q, struct sp_buf *out)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, RESULT_MAX);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_bool(&w, "ok", true);
    sp_jw_object(&w, "result");
    sp_jw_array(&w, "relays");
    for (size_t i = 0; i < q->count; i++) {
        const struct sp_admin_answer *a = &q->answers[i];
        bool known = a->rc == SP_OK && a->json != NULL;

        sp_buf_reset(&text);
        sp_jw_object(&w, NULL);
        sp_jw_int(&w, "relay", a->index == SP_JOBS_ANY ? -1 : (int64_t)a->index);
        sp_jw_cstr(&w, "error", known ? NULL : sp_rc_name(a->rc));
        if (sp_admin_is_unknown(a))
            sp_jw_bool(&w, "silent", true);
        if (!known)
            sp_jw_text(&w, "detail",
                       sp_admin_is_unknown(a) ? SP_LIT("it did not answer") : detail_of(a));
        if (known && sp_json_canonical(sp_json_root(a->json), &text) == SP_OK)
            sp_jw_raw(&w, "says", sp_buf_bytes(&text));
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
    sp_jw_int(&w, "file_len", 0);
    sp_jw_end(&w);
    sp_buf_clear(&text);
}

void sp_admin_merge(struct sp_admin_question *q, struct sp_buf *out, int *fd)
{
    struct sp_admin_answer *first = &q->answers[0];

    *fd = -1;
    if (q->route->merge == SP_ADMIN_OWNER) {
        merge_owner(q, out);
    } else if (q->route->merge == SP_ADMIN_PAGES) {
        merge_pages(q, out);
    } else if (q->route->merge == SP_ADMIN_EACH && is_no_question(q)) {
        put_failed(first, out);
    } else if (q->route->merge == SP_ADMIN_EACH) {
        merge_each(q, out);
    } else {
        put_answer(q, first, out);
        if (first->rc == SP_OK)
            *fd = first->fd;
        if (*fd >= 0)
            first->fd = -1;
    }
    if (sp_buf_rc(out) != SP_OK || out->len == 0) {
        sp_buf_reset(out);
        sp_admin_put_error(out, sp_rc_name(SP_E_LIMIT), SP_LIT("the answer is too long"));
    }
}
