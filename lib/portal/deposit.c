/*
 * A deposit: the relay's content is read chunk by chunk and sealed anew under a key of the package's own, so that one
 * package can be destroyed without touching anything else. File first, row second; the row's commit is what the relay
 * is told of. A repeated deposit finds the row and changes nothing.
 */
#include "portal/portal_priv.h"

static enum sp_rc fill_receipt(struct sp_portal *p, const struct portal_package *pkg,
                               struct sp_portal_receipt *out)
{
    char token[PORTAL_SECRET_TEXT];
    struct sp_buf link;
    enum sp_rc rc;

    sp_portal_token_of(p, pkg, token);
    sp_buf_init(&link, SP_PORTAL_LINK_MAX);
    sp_buf_printf(&link, "%s/p#%s", p->o.url, token);
    sp_buf_put_u8(&link, 0);
    rc = sp_buf_rc(&link);
    *out = (struct sp_portal_receipt){0};
    if (rc == SP_OK) {
        memcpy(out->link, link.ptr, link.len);
        memcpy(out->package, pkg->id, strlen(pkg->id) + 1);
        sp_portal_key_name(pkg->id, out->key);
    }
    sp_buf_wipe(&link);
    sp_wipe(token, sizeof(token));
    return rc;
}

/* No address that could end a line of a header or a record gets in. */
static bool is_plain(struct sp_bytes text, size_t max)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return text.len < max;
}

static void set_text(char *out, struct sp_bytes text)
{
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static enum sp_rc describe(struct sp_portal *p, const struct sp_portal_deposit *d,
                           struct portal_package *pkg)
{
    struct sp_bytes floor = d->floor.len > 0 ? d->floor : SP_LIT("tls:encrypted");
    struct sp_id id = sp_id_new(p->o.clock, p->o.random);

    *pkg = (struct portal_package){0};
    if (d->recipient.len == 0 || !is_plain(d->recipient, sizeof(pkg->recipient)) ||
        !is_plain(d->sender, sizeof(pkg->sender)) || !is_plain(d->tenant, sizeof(pkg->tenant)) ||
        !is_plain(floor, sizeof(pkg->floor)) || !is_plain(d->name, PORTAL_ADDR_MAX) ||
        !is_plain(d->report.envid, SP_PORTAL_ENVID_MAX + 1) ||
        !is_plain(d->report.orcpt, SP_PORTAL_ORCPT_MAX + 1))
        return SP_E_MALFORMED;
    memcpy(pkg->id, "pkg-", 4);
    sp_id_format(&id, pkg->id + 4);
    pkg->message = d->content->id;
    pkg->n = d->n;
    set_text(pkg->tenant, d->tenant);
    set_text(pkg->sender, d->sender);
    set_text(pkg->recipient, d->recipient);
    set_text(pkg->floor, floor);
    pkg->len = (int64_t)d->content->len;
    pkg->created_ms = sp_clock_wall_ms(p->o.clock);
    pkg->expires_ms = d->expires_at_ms;
    pkg->has_key = true;
    return SP_OK;
}

/* The package and what becomes due of it, or neither. */
static enum sp_rc insert(struct sp_portal *p, const struct sp_portal_deposit *d,
                         const struct portal_package *pkg, struct sp_err *err)
{
    enum sp_rc rc = sp_store_begin(p->store, err);

    if (rc != SP_OK)
        return rc;
    rc = sp_portal_insert(p, pkg, err);
    if (rc == SP_OK && d->notice.len > 0)
        rc = sp_portal_notice_set(p, pkg->id, d->notice, err);
    if (rc == SP_OK)
        rc = sp_portal_due_insert(p, pkg->id, d, err);
    if (rc == SP_OK)
        return sp_store_commit(p->store, err);
    sp_store_rollback(p->store);
    return rc;
}

static enum sp_rc make(struct sp_portal *p, const struct sp_portal_deposit *d,
                       struct portal_package *pkg, struct sp_err *err)
{
    SP_AUTO(sp_content_writer) w = NULL;
    enum sp_rc rc = describe(p, d, pkg);

    if (rc != SP_OK)
        return sp_fail(err, rc, "an address of the deposit can't be kept");
    w = sp_content_writer_new(&pkg->message, p->o.random, NULL);
    rc = sp_portal_vault_write(p, pkg->id, d->content, w, err);
    if (rc != SP_OK)
        return rc;
    sp_crypt_wrap(p->kek, p->o.random, sp_portal_key_context(pkg->id), sp_content_writer_key(w),
                  pkg->wrapped);
    rc = insert(p, d, pkg, err);
    if (rc != SP_OK)
        sp_portal_vault_remove(p, pkg->id);
    else
        sp_timer_start(p->due_timer, 0); /* its own may be the next */
    return rc;
}

enum sp_rc sp_portal_deposit(struct sp_portal *p, const struct sp_portal_deposit *d,
                             struct sp_portal_receipt *out, struct sp_err *err)
{
    struct portal_package pkg;
    enum sp_rc rc = sp_portal_find_message(p, &d->content->id, d->recipient, &pkg);

    if (rc == SP_OK && !sp_portal_is_live(p, &pkg))
        return sp_fail(err, SP_E_PORTAL_EXPIRED, "the package has expired");
    if (rc == SP_E_NOT_FOUND) {
        rc = make(p, d, &pkg, err);
        if (rc == SP_OK)
            sp_log_info(p->o.log, "portal.deposited", SP_ID("message", &pkg.message),
                        SP_TEXT("package", pkg.id), SP_INT("len", pkg.len));
    }
    if (rc == SP_OK)
        rc = fill_receipt(p, &pkg, out);
    sp_wipe(&pkg, sizeof(pkg));
    return rc;
}
