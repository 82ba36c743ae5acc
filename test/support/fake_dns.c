/*
 * The table is a list of rows; an answer is made anew each time and brought on a turn of its own.
 */
#include "support/fake_dns.h"

#include "base/text.h"
#include "dns/answer.h"

#include <stdlib.h>

struct row {
    struct sp_list at;
    char *owner;
    enum sp_dns_type type;
    enum sp_rc rc;
    bool secure;
    char *text;
    unsigned asked;
};

struct asking {
    struct sp_list at;
    struct fake_dns *f;
    sp_handle handle;
    struct sp_timer *timer;
    const struct sp_dns_answer *answer;
    sp_dns_fn fn;
    void *arg;
};

struct fake_dns {
    struct sp_dns_ops ops;
    struct sp_loop *loop;
    bool trusted;
    struct sp_list rows;
    struct sp_list askings;
    struct sp_slots *slots;
};

static struct row *add_row(struct fake_dns *f, const char *owner, enum sp_dns_type type)
{
    struct row *r = sp_calloc(1, sizeof(*r));

    r->owner = sp_strdup(owner);
    r->type = type;
    sp_list_append(&f->rows, &r->at);
    return r;
}

void fake_dns_add(struct fake_dns *f, const char *owner, enum sp_dns_type type, bool secure,
                  const char *text)
{
    struct row *r = add_row(f, owner, type);

    r->secure = secure;
    r->text = sp_strdup(text);
}

void fake_dns_set_rc(struct fake_dns *f, const char *owner, enum sp_dns_type type, enum sp_rc rc,
                     bool secure)
{
    struct row *r = add_row(f, owner, type);

    r->rc = rc;
    r->secure = secure;
}

static struct row *find(const struct fake_dns *f, struct sp_bytes owner, int type)
{
    SP_LIST_EACH(at, &f->rows)
    {
        struct row *r = SP_CONTAINER(at, struct row, at);

        if ((type < 0 || r->type == (enum sp_dns_type)type) &&
            sp_bytes_eq_nocase(owner, sp_bytes_cstr(r->owner)))
            return r;
    }
    return NULL;
}

unsigned fake_dns_asked(const struct fake_dns *f, const char *owner, enum sp_dns_type type)
{
    const struct row *r = find(f, sp_bytes_cstr(owner), type);

    return r == NULL ? 0 : r->asked;
}

static void add_record(struct sp_dns_draft *d, const struct row *r)
{
    struct sp_dns_record rec = {0};
    struct sp_bytes rest = sp_bytes_cstr(r->text);
    struct sp_bytes part;
    struct sp_buf data;

    sp_buf_init(&data, 4096);
    switch (r->type) {
    case SP_DNS_MX:
        rec.preference = (uint16_t)strtoul(r->text, NULL, 10);
        sp_assert(sp_bytes_split(&rest, ' ', &part));
        rec.name = sp_bytes_eq(rest, SP_LIT(".")) ? SP_LIT("") : rest;
        break;
    case SP_DNS_A:
    case SP_DNS_AAAA:
        sp_assert(sp_dns_ip_parse(rest, &rec.ip));
        break;
    case SP_DNS_CNAME:
        rec.name = rest;
        break;
    case SP_DNS_TLSA:
        rec.usage = (uint8_t)(r->text[0] - '0');
        rec.selector = (uint8_t)(r->text[2] - '0');
        rec.matching_type = (uint8_t)(r->text[4] - '0');
        sp_assert(sp_hex_decode(&data, sp_bytes_slice(rest, 6, rest.len)));
        rec.data = sp_buf_bytes(&data);
        break;
    default:
        rec.data = rest;
    }
    sp_assert(sp_dns_draft_add(d, &rec) == SP_OK);
    sp_buf_clear(&data);
}

static const struct sp_dns_answer *answer(struct fake_dns *f, struct sp_bytes name,
                                          enum sp_dns_type type)
{
    struct sp_dns_answer like = {.owner = name, .secure = true};
    struct sp_dns_draft *d = sp_dns_draft_new();
    struct row *alias = type == SP_DNS_CNAME ? NULL : find(f, name, SP_DNS_CNAME);
    struct row *first;

    for (int i = 0; alias != NULL && i < 10; i++) {
        like.aliased = true;
        like.secure = like.secure && alias->secure;
        like.owner = sp_bytes_cstr(alias->text);
        alias = find(f, like.owner, SP_DNS_CNAME);
    }
    first = find(f, like.owner, type);
    if (first == NULL) {
        const struct row *any = find(f, like.owner, -1);

        like.rc = any == NULL ? SP_E_DNS_NXDOMAIN : SP_E_DNS_NONE;
        like.secure = like.secure && any != NULL && any->secure;
    } else {
        first->asked++;
        like.rc = first->rc;
        like.secure = like.secure && first->secure;
    }
    like.secure = like.secure && f->trusted;
    like.good_until_ms = sp_clock_mono_ms(sp_loop_clock(f->loop)) + 60000;
    SP_LIST_EACH(at, &f->rows)
    {
        struct row *r = SP_CONTAINER(at, struct row, at);

        if (like.rc == SP_OK && r->type == type &&
            sp_bytes_eq_nocase(like.owner, sp_bytes_cstr(r->owner)))
            add_record(d, r);
    }
    return sp_dns_draft_finish(d, &like);
}

static void drop(struct asking *a)
{
    (void)sp_slots_remove(a->f->slots, a->handle);
    sp_list_remove(&a->at);
    sp_timer_free(a->timer);
    sp_dns_answer_unref(a->answer);
    sp_free(a);
}

static void on_timer(void *arg)
{
    struct asking *a = arg;
    const struct sp_dns_answer *answered = sp_dns_answer_ref(a->answer);
    sp_dns_fn fn = a->fn;
    void *fn_arg = a->arg;

    drop(a);
    fn(fn_arg, answered);
    sp_dns_answer_unref(answered);
}

static sp_handle ask(void *ctx, struct sp_bytes name, enum sp_dns_type type, sp_dns_fn fn,
                     void *arg)
{
    struct fake_dns *f = ctx;
    struct asking *a = sp_calloc(1, sizeof(*a));

    a->f = f;
    a->fn = fn;
    a->arg = arg;
    a->handle = sp_slots_add(f->slots, a);
    a->timer = sp_timer_new(f->loop, on_timer, a);
    a->answer = answer(f, name, type);
    sp_list_append(&f->askings, &a->at);
    if (a->answer->rc != SP_E_CANCELLED)
        sp_timer_start(a->timer, 0);
    return a->handle;
}

static void cancel(void *ctx, sp_handle handle)
{
    struct asking *a = sp_slots_find(((struct fake_dns *)ctx)->slots, handle);

    if (a != NULL)
        drop(a);
}

static bool is_trusted(const void *ctx)
{
    return ((const struct fake_dns *)ctx)->trusted;
}

struct fake_dns *fake_dns_new(struct sp_loop *loop, bool trusted)
{
    struct fake_dns *f = sp_calloc(1, sizeof(*f));

    f->loop = loop;
    f->trusted = trusted;
    f->slots = sp_slots_new();
    sp_list_init(&f->rows);
    sp_list_init(&f->askings);
    f->ops = (struct sp_dns_ops){.ask = ask, .cancel = cancel, .is_trusted = is_trusted, .ctx = f};
    return f;
}

void fake_dns_clear(struct fake_dns *f)
{
    SP_LIST_EACH(at, &f->rows)
    {
        struct row *r = SP_CONTAINER(at, struct row, at);

        sp_list_remove(&r->at);
        sp_free(r->owner);
        sp_free(r->text);
        sp_free(r);
    }
}

void fake_dns_free(struct fake_dns *f)
{
    SP_LIST_EACH(at, &f->askings)
    drop(SP_CONTAINER(at, struct asking, at));
    fake_dns_clear(f);
    sp_slots_free(f->slots);
    sp_free(f);
}

const struct sp_dns_ops *fake_dns_ops(struct fake_dns *f)
{
    return &f->ops;
}
