/*
 * `keys list|show|import|remove`. Planning reads the request and, for an import, the key itself, so that the event says
 * what the key is before it is in the store; a crash between the two leaves an event about a key that is not there, never
 * a key that no event tells of. A refused import is an event too.
 */
#include "keys/command.h"

#include "base/clock.h"
#include "base/text.h"
#include "json/json.h"

struct sp_keys_command {
    struct sp_keys *keys;
    int64_t now_ms;
    enum sp_rc (*run)(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err);
    struct sp_json_doc *doc; /* the request; texts below are its */
    struct sp_arena *arena;
    struct sp_keys_key key; /* of an import or a removal */
    struct sp_err refused;  /* why an import is not done; rc SP_OK if it is */
    struct sp_buf event;
};

#define EVENT_MAX (128U * 1024U)

static void write_date(struct sp_jw *w, const char *name, int64_t ms)
{
    char date[SP_TIME_TEXT_MAX];

    if (ms == 0) {
        sp_jw_null(w, name);
        return;
    }
    sp_time_format_rfc3339(ms, date);
    sp_jw_cstr(w, name, date);
}

/* What a key is: the same members in lists, replies and events. */
static void write_facts(struct sp_jw *w, const struct sp_keys_key *key)
{
    sp_jw_cstr(w, "kind", sp_keys_kind_name(key->kind));
    sp_jw_array(w, "addresses");
    for (size_t i = 0; i < key->address_count; i++)
        sp_jw_cstr(w, NULL, key->addresses[i]);
    sp_jw_end(w);
    sp_jw_cstr(w, "algorithm", key->algorithm);
    write_date(w, "not_before", key->not_before_ms);
    write_date(w, "not_after", key->not_after_ms);
    sp_jw_cstr(w, "trust", sp_keys_trust_name(key->trust));
}

static void write_key(struct sp_jw *w, const char *name, const struct sp_keys_key *key,
                      int64_t now_ms)
{
    struct sp_err why = {0};
    bool usable = sp_keys_judge(key, now_ms, &why) == SP_OK;

    sp_jw_object(w, name);
    sp_jw_cstr(w, "id", key->id);
    write_facts(w, key);
    sp_jw_array(w, "reads");
    if (key->abilities & SP_KEYS_GCM)
        sp_jw_cstr(w, NULL, "aes-gcm");
    if (key->abilities & SP_KEYS_OAEP)
        sp_jw_cstr(w, NULL, "oaep");
    if (key->abilities & SP_KEYS_ECDH)
        sp_jw_cstr(w, NULL, "ecdh");
    sp_jw_end(w);
    sp_jw_bool(w, "usable", usable);
    if (!usable)
        sp_jw_cstr(w, "why", why.text);
}

/* ---- events ---- */

static void begin_event(struct sp_keys_command *c, struct sp_jw *w, const char *name,
                        struct sp_bytes actor)
{
    sp_jw_init(w, &c->event);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "event", name);
    sp_jw_raw(w, "actor", actor.len > 0 ? actor : SP_LIT("{}"));
}

static void write_event(struct sp_keys_command *c, const char *name, struct sp_bytes actor,
                        struct sp_bytes reason)
{
    struct sp_jw w;

    begin_event(c, &w, name, actor);
    sp_jw_cstr(&w, "key", c->key.id);
    write_facts(&w, &c->key);
    if (reason.len > 0)
        sp_jw_text(&w, "reason", reason);
    sp_jw_end(&w);
}

static void put_actor(struct sp_jw *w, const struct sp_json *actor)
{
    struct sp_buf text;

    sp_buf_init(&text, EVENT_MAX);
    if (actor != NULL && sp_json_canonical(actor, &text) == SP_OK)
        sp_jw_raw(w, "actor", sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static void write_refusal(struct sp_keys_command *c, struct sp_bytes actor)
{
    struct sp_jw w;

    begin_event(c, &w, "key.refused", actor);
    sp_jw_cstr(&w, "why", sp_rc_name(c->refused.rc));
    sp_jw_cstr(&w, "detail", c->refused.text);
    sp_jw_end(&w);
}

/* ---- running ---- */

struct listing {
    struct sp_jw w;
    int64_t now_ms;
    unsigned count;
    char last[SP_KEYS_ID_MAX];
};

static void list_one(void *ctx, const struct sp_keys_key *key)
{
    struct listing *l = ctx;

    write_key(&l->w, NULL, key, l->now_ms);
    sp_jw_end(&l->w);
    memcpy(l->last, key->id, sizeof(l->last));
    l->count++;
}

static enum sp_rc run_list(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err)
{
    const struct sp_json *root = sp_json_root(c->doc);
    struct sp_bytes asked = sp_json_text_of(root, "address");
    int64_t limit = sp_json_int_of(root, "limit", SP_KEYS_LIST_MAX);
    struct listing l = {.now_ms = c->now_ms};
    char address[SP_KEYS_ADDRESS_MAX] = "";
    enum sp_rc rc;

    if (limit < 1 || limit > SP_KEYS_LIST_MAX)
        return sp_fail(err, SP_E_USAGE, "limit: from 1 to %d", SP_KEYS_LIST_MAX);
    if (asked.len > 0 && !sp_keys_address_normalise(asked, address))
        return sp_fail(err, SP_E_USAGE, "address: not an address");
    sp_jw_init(&l.w, reply);
    sp_jw_object(&l.w, NULL);
    sp_jw_array(&l.w, "keys");
    rc = sp_keys_each(c->keys,
                      &(struct sp_keys_query){sp_bytes_cstr(address),
                                              sp_json_text_of(root, "after"), (unsigned)limit},
                      list_one, &l, err);
    sp_jw_end(&l.w);
    /* a page that is full may have a next one */
    sp_jw_cstr(&l.w, "next", address[0] == 0 && l.count == (unsigned)limit ? l.last : NULL);
    sp_jw_end(&l.w);
    return rc;
}

static enum sp_rc run_show(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err)
{
    struct sp_bytes id = sp_json_text_of(sp_json_root(c->doc), "id");
    enum sp_rc rc = sp_keys_get(c->keys, id, c->arena, &c->key, err);
    struct sp_buf data;
    struct sp_jw w;

    if (rc != SP_OK)
        return rc;
    sp_buf_init(&data, SP_KEYS_BYTES_MAX * 2);
    sp_base64_encode(&data, c->key.bytes);
    sp_jw_init(&w, reply);
    sp_jw_object(&w, NULL);
    write_key(&w, "key", &c->key, c->now_ms);
    sp_jw_text(&w, "data", sp_buf_bytes(&data));
    sp_jw_end(&w);
    sp_jw_end(&w);
    sp_buf_clear(&data);
    return SP_OK;
}

static enum sp_rc run_import(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err)
{
    enum sp_rc rc;
    struct sp_jw w;

    if (c->refused.rc != SP_OK) {
        if (err != NULL)
            *err = c->refused;
        return c->refused.rc;
    }
    rc = sp_keys_put(c->keys, &c->key, c->now_ms, err);
    if (rc != SP_OK)
        return rc;
    sp_jw_init(&w, reply);
    sp_jw_object(&w, NULL);
    write_key(&w, "imported", &c->key, c->now_ms);
    sp_jw_end(&w);
    sp_jw_end(&w);
    return SP_OK;
}

static enum sp_rc run_remove(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err)
{
    enum sp_rc rc = sp_keys_remove(c->keys, sp_bytes_cstr(c->key.id), err);
    struct sp_jw w;

    if (rc != SP_OK)
        return rc;
    sp_jw_init(&w, reply);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "removed", c->key.id);
    sp_jw_end(&w);
    return SP_OK;
}

/* ---- planning ---- */

static enum sp_rc parse_import(struct sp_keys_command *c, const struct sp_keys_command_env *env,
                               struct sp_bytes file, struct sp_err *err)
{
    if (sp_keys_pgp_is(file))
        return sp_keys_pgp_parse(file, env->scratch_dir, c->arena, &c->key, err);
    return sp_keys_certificate_parse(file, env->anchors, env->now_ms, c->arena, &c->key, err);
}

static enum sp_rc plan_import(struct sp_keys_command *c, const struct sp_keys_command_env *env,
                              struct sp_bytes actor, struct sp_err *err)
{
    const struct sp_json *root = sp_json_root(c->doc);
    struct sp_buf file;

    sp_buf_init(&file, SP_KEYS_IMPORT_MAX);
    if (!sp_base64_decode(&file, sp_json_text_of(root, "data")) || file.len == 0) {
        sp_buf_clear(&file);
        return sp_fail(err, SP_E_USAGE, "data: base 64 of at most %u bytes is wanted",
                       SP_KEYS_IMPORT_MAX);
    }
    c->refused.rc = parse_import(c, env, sp_buf_bytes(&file), &c->refused);
    sp_buf_clear(&file);
    if (c->refused.rc == SP_OK && sp_json_bool_of(root, "pin", true))
        c->key.trust = SP_KEYS_PINNED;
    if (c->refused.rc == SP_OK && c->key.trust == SP_KEYS_UNTRUSTED)
        sp_fail(&c->refused, SP_E_KEYS_UNUSABLE, "it does not chain to a trust anchor");
    if (c->refused.rc != SP_OK)
        write_refusal(c, actor);
    else
        write_event(c, "key.imported", actor, sp_json_text_of(root, "reason"));
    c->run = run_import;
    return SP_OK;
}

static enum sp_rc plan(struct sp_keys_command *c, const struct sp_keys_command_env *env,
                       struct sp_bytes actor, struct sp_err *err)
{
    const struct sp_json *root = sp_json_root(c->doc);
    struct sp_bytes name = sp_json_text_of(root, "command");
    struct sp_bytes id = sp_json_text_of(root, "id");
    enum sp_rc rc = SP_OK;

    if (sp_bytes_eq(name, SP_LIT("keys.import")))
        return plan_import(c, env, actor, err);
    if (sp_bytes_eq(name, SP_LIT("keys.list"))) {
        c->run = run_list;
        return SP_OK;
    }
    if (!sp_bytes_eq(name, SP_LIT("keys.show")) && !sp_bytes_eq(name, SP_LIT("keys.remove")))
        return sp_fail(err, SP_E_USAGE,
                       "command: keys.list, keys.show, keys.import or keys.remove");
    if (id.len == 0)
        return sp_fail(err, SP_E_USAGE, "id: wanted, \"smime:...\" or \"pgp:...\"");
    if (sp_bytes_eq(name, SP_LIT("keys.show"))) {
        c->run = run_show;
        return SP_OK;
    }
    c->run = run_remove;
    rc = sp_keys_get(c->keys, id, c->arena, &c->key, err);
    if (rc == SP_OK)
        write_event(c, "key.removed", actor, sp_json_text_of(root, "reason"));
    return rc;
}

enum sp_rc sp_keys_command_new(struct sp_keys *keys, const struct sp_keys_command_env *env,
                               struct sp_bytes json, struct sp_bytes actor,
                               struct sp_keys_command **out, struct sp_err *err)
{
    SP_AUTO(sp_keys_command) c = sp_calloc(1, sizeof(*c));
    enum sp_rc rc;

    c->keys = keys;
    c->now_ms = env->now_ms;
    c->arena = sp_arena_new(4096);
    sp_buf_init(&c->event, EVENT_MAX);
    rc = sp_json_parse(json, NULL, &c->doc, err);
    if (rc == SP_OK)
        rc = plan(c, env, actor, err);
    if (rc == SP_OK)
        rc = sp_buf_rc(&c->event);
    if (rc == SP_OK)
        *out = SP_STEAL(c);
    return rc;
}

void sp_keys_command_free(struct sp_keys_command *c)
{
    if (c == NULL)
        return;
    sp_json_doc_free(c->doc);
    sp_arena_free(c->arena);
    sp_buf_clear(&c->event);
    sp_free(c);
}

struct sp_bytes sp_keys_command_event(const struct sp_keys_command *c)
{
    return sp_buf_bytes(&c->event);
}

void sp_keys_command_failed(const struct sp_keys_command *c, enum sp_rc rc, struct sp_buf *out)
{
    struct sp_json_doc *doc = NULL;
    struct sp_err err;
    struct sp_jw w;

    if (c->event.len == 0 || c->refused.rc != SP_OK ||
        sp_json_parse(sp_buf_bytes(&c->event), NULL, &doc, &err) != SP_OK)
        return;
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "admin.acted");
    sp_jw_cstr(&w, "act", c->run == run_remove ? "keys.remove" : "keys.import");
    sp_jw_cstr(&w, "failed", sp_rc_name(rc));
    sp_jw_cstr(&w, "key", c->key.id);
    put_actor(&w, sp_json_find(sp_json_root(doc), "actor"));
    sp_jw_end(&w);
    sp_json_doc_free(doc);
}

enum sp_rc sp_keys_command_run(struct sp_keys_command *c, struct sp_buf *reply, struct sp_err *err)
{
    enum sp_rc rc = c->run(c, reply, err);

    if (rc == SP_OK && sp_buf_rc(reply) != SP_OK)
        rc = sp_fail(err, SP_E_LIMIT, "the answer is too long: ask for fewer with limit");
    return rc;
}
