/*
 * The keys above those of the segments. A reload may bring another generation of the content key: then the keyring of each
 * shard is rewritten under it while mail goes on, and the audit says so. Until all are, the bundle brings the one before
 * too, so a crash at any moment finds each keyring with a key that opens it.
 */
#include "gateway/relay/relay.h"

#include "base/text.h"
#include "json/json.h"

enum { EVENT_MAX = 1024 };

static void copy_id(char out[SP_JOURNAL_KEK_ID_MAX], struct sp_bytes id)
{
    id = sp_bytes_slice(id, 0, SP_JOURNAL_KEK_ID_MAX - 1);
    memset(out, 0, SP_JOURNAL_KEK_ID_MAX);
    if (id.len > 0)
        memcpy(out, id.ptr, id.len);
}

enum sp_rc relay_keys_load(struct relay *r, struct sp_journal_keys *out, struct sp_err *err)
{
    struct sp_bytes old = sp_role_file(r->role, "secret/content.kek.old");
    enum sp_rc rc = sp_secret_parse(sp_role_file(r->role, "secret/content.kek"), &out->content);

    if (rc == SP_OK)
        rc = sp_secret_parse(sp_role_file(r->role, "secret/record.kek"), &out->record);
    if (rc == SP_OK && old.len > 0)
        rc = sp_secret_parse(old, &out->old_content);
    if (rc != SP_OK)
        return sp_fail(err, rc, "no key-encryption keys came with the bundle");
    copy_id(out->kek_id, sp_role_file(r->role, "secret/kek.id"));
    copy_id(out->old_kek_id, sp_role_file(r->role, "secret/kek.id.old"));
    return SP_OK;
}

void relay_keys_return(const struct relay *r, struct sp_secret *out)
{
    sp_crypt_hkdf(sp_secret_bytes(&r->keys.record), SP_LIT("sallyport return path 1"), out);
}

void relay_keys_clear(struct sp_journal_keys *keys)
{
    sp_secret_clear(&keys->content);
    sp_secret_clear(&keys->record);
    sp_secret_clear(&keys->old_content);
}

/* For the audit: which generation has followed which. */
static void put_event(const char *from, const char *to, const char *shard, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "key.rotated");
    sp_jw_cstr(&w, "key", "content");
    sp_jw_cstr(&w, "from", from);
    sp_jw_cstr(&w, "to", to);
    sp_jw_cstr(&w, "shard", shard);
    sp_jw_end(&w);
}

void relay_keys_renewed(const struct relay *r, struct sp_buf *out)
{
    sp_buf_init(out, EVENT_MAX);
    put_event(r->keys.old_kek_id, r->keys.kek_id, r->dir, out);
}

static enum sp_rc renew_one(struct relay *r, const struct sp_journal_keys *keys)
{
    struct sp_buf event;
    enum sp_rc rc;

    sp_buf_init(&event, EVENT_MAX);
    put_event(r->keys.kek_id, keys->kek_id, r->dir, &event);
    rc = sp_queue_rekey(r->queue, keys, sp_buf_bytes(&event));
    sp_buf_clear(&event);
    if (rc != SP_OK) {
        sp_log_error(r->log, "relay.keyring-failed", SP_RC("why", rc));
        return rc;
    }
    sp_log_info(r->log, "relay.keyring-renewed", SP_TEXT("key", keys->kek_id));
    r->keys = *keys;
    return SP_OK;
}

enum sp_rc relay_keys_renew(struct relay *r, struct sp_err *err)
{
    struct sp_journal_keys fresh = {.kek_id = ""};
    enum sp_rc rc = relay_keys_load(r, &fresh, err);

    for (struct relay *x = rc == SP_OK ? r : NULL; x != NULL; x = x->left) {
        enum sp_rc one = SP_OK;

        if (memcmp(fresh.kek_id, x->keys.kek_id, sizeof(fresh.kek_id)) != 0)
            one = renew_one(x, &fresh);
        rc = rc == SP_OK ? one : rc; /* one that fails keeps no other from it */
    }
    relay_keys_clear(&fresh);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "the keyring can't be renewed now");
}
