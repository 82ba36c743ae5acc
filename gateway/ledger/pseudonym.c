/*
 * audit.address and audit.reveal: addresses and the pseudonyms that stand for them in audit lines (`audit.addresses` is
 * `hmac`). From an address to its pseudonym is free for whoever may ask: it shows nothing that the asker has not said. The
 * other way is on record, with who and why, before anything is told.
 *
 *     {"command": "audit.address", "address": A}        -> {"address", "pseudonym", "addresses": "hmac" | "plain", "file"}
 *     {"command": "audit.reveal", "about": PSEUDONYM | MESSAGE, "reason": TEXT}
 *                                                        -> {"addresses": [{"pseudonym", "address"}]}
 */
#include "gateway/ledger/ledger.h"

#include "audit/pseudonym.h"
#include "audit/series.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "jobs/command.h"

#define BUNDLE_NAME "secret/audit.address_key"
#define KEY_MIN     32
#define REPLY_MAX   SP_JOBS_COMMAND_MAX
#define EVENT_MAX   65536
#define ADDRESS_MAX 65536
#define SEEN_MAX    10000

enum sp_rc ledger_pseudonym_key(struct ledger *l, struct sp_err *err)
{
    struct sp_bytes given = sp_role_file(l->role, BUNDLE_NAME);

    if (given.len > 0 && given.len < KEY_MIN)
        return sp_fail(err, SP_E_CRYPT_KEY, "audit.address_key: shorter than %d bytes", KEY_MIN);
    sp_crypt_hkdf(given.len > 0 ? given : sp_secret_bytes(&l->record_kek), SP_AUDIT_PSEUDONYM_INFO,
                  &l->address_key);
    return SP_OK;
}

struct sp_bytes ledger_address(struct ledger *l, const struct sp_json *value,
                               struct sp_arena *arena)
{
    struct sp_bytes pseudonym = sp_json_text_of(value, "h");
    struct sp_bytes out = value == NULL ? sp_bytes(NULL, 0) : value->text;
    struct sp_buf text;

    if (pseudonym.len == 0)
        return sp_arena_copy(arena, out);
    sp_buf_init(&text, ADDRESS_MAX);
    out = sp_bytes(NULL, 0);
    if (sp_audit_book_reveal(l->book, pseudonym, &text, NULL) == SP_OK)
        out = sp_arena_copy(arena, sp_buf_bytes(&text));
    sp_buf_wipe(&text);
    return out;
}

struct sp_bytes ledger_shown(struct ledger *l, const struct sp_json *value, struct sp_arena *arena)
{
    struct sp_bytes pseudonym = sp_json_text_of(value, "h");
    struct sp_buf text;
    struct sp_bytes out;

    (void)l;
    if (pseudonym.len == 0)
        return value == NULL ? sp_bytes(NULL, 0) : sp_arena_copy(arena, value->text);
    sp_buf_init(&text, ADDRESS_MAX);
    sp_buf_put(&text, pseudonym);
    sp_buf_put_u8(&text, '@');
    sp_buf_put(&text, sp_json_text_of(value, "domain"));
    out = sp_arena_copy(arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return out;
}

/* Where the lines are, the oldest first. */
static enum sp_rc put_files(const struct ledger *l, struct sp_jw *w)
{
    SP_AUTO(sp_audit_series) series = NULL;
    enum sp_rc rc = sp_audit_series_list(l->file, &series, NULL);

    sp_jw_array(w, "files");
    for (size_t i = 0; rc == SP_OK && i < sp_audit_series_count(series); i++)
        sp_jw_cstr(w, NULL, sp_audit_series_path(series, i));
    sp_jw_end(w);
    return rc;
}

void ledger_pseudonym_tell(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    struct sp_bytes given = sp_json_text_of(q->ask, "address");
    size_t at = 0;
    struct sp_bytes address = sp_audit_address_next(given, &at);
    struct sp_buf json, pseudonym;
    struct sp_jw w;
    enum sp_rc rc;

    if (address.len == 0 || address.len != given.len) {
        ledger_reply_error(job, SP_E_USAGE, "address: none");
        return;
    }
    sp_buf_init(&json, REPLY_MAX);
    sp_buf_init(&pseudonym, SP_AUDIT_PSEUDONYM_LEN);
    sp_audit_pseudonym_format(&l->address_key, address, &pseudonym);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "address", address);
    sp_jw_text(&w, "pseudonym", sp_buf_bytes(&pseudonym));
    sp_jw_cstr(&w, "addresses", l->config->audit.addresses);
    rc = put_files(l, &w);
    sp_jw_end(&w);
    ledger_reply_json(job, rc == SP_OK ? sp_buf_rc(&json) : rc, sp_buf_bytes(&json));
    sp_buf_clear(&pseudonym);
    sp_buf_clear(&json);
}

/* ---- revealing ---- */

struct revealing {
    struct ledger *l;
    struct sp_jw w;
    struct sp_buf seen; /* pseudonyms that are told already, one behind the other */
    size_t count;
    enum sp_rc rc;
};

static bool is_new(struct revealing *r, struct sp_bytes pseudonym)
{
    struct sp_bytes all = sp_buf_bytes(&r->seen);

    for (size_t i = 0; i + SP_AUDIT_PSEUDONYM_LEN <= all.len; i += SP_AUDIT_PSEUDONYM_LEN)
        if (sp_bytes_eq(sp_bytes_slice(all, i, SP_AUDIT_PSEUDONYM_LEN), pseudonym))
            return false;
    sp_buf_put(&r->seen, pseudonym);
    return sp_buf_rc(&r->seen) == SP_OK;
}

static void reveal_one(struct revealing *r, struct sp_bytes pseudonym)
{
    struct sp_buf address;
    enum sp_rc rc;

    if (!is_new(r, pseudonym))
        return;
    sp_buf_init(&address, ADDRESS_MAX);
    rc = sp_audit_book_reveal(r->l->book, pseudonym, &address, NULL);
    if (rc == SP_E_STORE_FAILED)
        r->rc = rc;
    if (rc == SP_OK) {
        sp_jw_object(&r->w, NULL);
        sp_jw_text(&r->w, "pseudonym", pseudonym);
        sp_jw_text(&r->w, "address", sp_buf_bytes(&address));
        sp_jw_end(&r->w);
        r->count++;
    }
    sp_buf_wipe(&address);
}

/* Wherever in the line they stand. */
static void reveal_line(struct revealing *r, struct sp_bytes line)
{
    for (size_t i = 0; i + SP_AUDIT_PSEUDONYM_LEN <= line.len; i++) {
        struct sp_bytes pseudonym;

        if (line.ptr[i] != 'k')
            continue;
        pseudonym = sp_audit_pseudonym_of(sp_bytes_slice(line, i, SP_AUDIT_PSEUDONYM_LEN));
        if (pseudonym.len > 0) {
            reveal_one(r, pseudonym);
            i += SP_AUDIT_PSEUDONYM_LEN - 1;
        }
    }
}

static enum sp_rc reveal_message(struct revealing *r, const struct sp_id *id, struct sp_err *err)
{
    const struct sp_audit_message *m = NULL;
    enum sp_rc rc = sp_audit_book_message(r->l->book, id, &m, err);
    struct sp_buf line;

    if (rc != SP_OK || m == NULL)
        return rc == SP_OK ? SP_E_NOT_FOUND : rc;
    sp_buf_init(&line, SP_AUDIT_LINE_MAX);
    for (uint32_t i = 0; i < m->place_count && rc == SP_OK; i++) {
        sp_buf_reset(&line);
        rc = sp_audit_book_line(r->l->book, &m->places[i], &line);
        if (rc == SP_OK)
            reveal_line(r, sp_buf_bytes(&line));
    }
    sp_buf_clear(&line);
    return rc;
}

static enum sp_rc say(struct ledger *l, const struct ledger_question *q, struct sp_bytes about,
                      struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.revealed");
    sp_jw_text(&w, "about", about);
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

static enum sp_rc reveal(struct revealing *r, const struct ledger_question *q, struct sp_err *err)
{
    struct sp_bytes given = sp_json_text_of(q->ask, "about");
    struct sp_bytes pseudonym = sp_audit_pseudonym_of(given);
    struct sp_id id = {0};
    enum sp_rc rc;

    if (pseudonym.len == 0 && !sp_id_parse(given, &id))
        return sp_fail(err, SP_E_USAGE, "about: neither a pseudonym nor a message id");
    if (sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len == 0)
        return sp_fail(err, SP_E_USAGE, "a reason is needed");
    rc = say(r->l, q, pseudonym.len > 0 ? pseudonym : given, err);
    if (rc == SP_OK && pseudonym.len > 0)
        reveal_one(r, pseudonym);
    else if (rc == SP_OK)
        rc = reveal_message(r, &id, err);
    if (rc == SP_OK)
        rc = r->rc;
    if (rc == SP_OK && r->count == 0)
        rc = sp_fail(err, SP_E_NOT_FOUND, "nobody stands behind that here");
    return rc;
}

void ledger_pseudonym_reveal(struct ledger *l, struct sp_jobs_job *job,
                             const struct ledger_question *q)
{
    struct revealing r = {.l = l};
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_id id;
    enum sp_rc rc;

    if (sp_id_parse(sp_json_text_of(q->ask, "about"), &id) &&
        !ledger_old_ready(l, job, &id, 1, ledger_command))
        return;
    sp_buf_init(&json, REPLY_MAX);
    sp_buf_init(&r.seen, (size_t)SEEN_MAX * SP_AUDIT_PSEUDONYM_LEN);
    sp_jw_init(&r.w, &json);
    sp_jw_object(&r.w, NULL);
    sp_jw_array(&r.w, "addresses");
    rc = reveal(&r, q, &err);
    sp_jw_end(&r.w);
    sp_jw_end(&r.w);
    if (rc == SP_OK)
        rc = sp_buf_rc(&json);
    if (rc == SP_E_STORE_FAILED)
        sp_role_fail(l->role, &err);
    ledger_tail_poke(l);
    if (rc == SP_OK)
        ledger_reply_json(job, rc, sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, err.text);
    sp_buf_clear(&r.seen);
    sp_buf_wipe(&json);
}
