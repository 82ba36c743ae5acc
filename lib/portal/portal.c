/*
 * The portal put together: keys derived from its key-encryption key, database, package folder, web server, sweep. It is
 * a process of its own, so its database and package files are read and written right on its loop.
 */
#include "portal/portal_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void derive_keys(struct sp_portal *p, const struct sp_secret *kek)
{
    struct sp_secret wrap;

    sp_crypt_hkdf(sp_secret_bytes(kek), SP_LIT("sallyport portal wrap 1"), &wrap);
    sp_crypt_hkdf(sp_secret_bytes(kek), SP_LIT("sallyport portal token 1"), &p->token_secret);
    sp_crypt_hkdf(sp_secret_bytes(kek), SP_LIT("sallyport portal hash 1"), &p->hash_secret);
    p->kek = sp_aead_new(&wrap);
    sp_secret_clear(&wrap);
}

static char *join(const char *dir, const char *name)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    sp_buf_printf(&b, "%s/%s", dir, name);
    return sp_buf_take_cstr(&b);
}

static enum sp_rc open_files(struct sp_portal *p, struct sp_err *err)
{
    char *path = join(p->o.dir, "portal.db");
    enum sp_rc rc;

    p->packages_dir = join(p->o.dir, "packages");
    rc = sp_portal_vault_make(p, err);
    if (rc == SP_OK)
        rc = sp_portal_store_open(path, &p->store, err);
    sp_free(path);
    if (rc == SP_OK)
        sp_portal_vault_tidy(p);
    return rc;
}

static void on_sweep(void *arg)
{
    sp_portal_sweep(arg);
}

enum sp_rc sp_portal_new(const struct sp_portal_options *options, struct sp_portal **out,
                         struct sp_err *err)
{
    SP_AUTO(sp_portal) p = sp_calloc(1, sizeof(*p));
    struct sp_web_options web = {
        .loop = options->loop,
        .log = options->log,
        .tls = options->tls,
        .routes = sp_portal_routes,
        .route_count = sp_portal_route_count,
        .arg = p,
        .headers = sp_portal_headers,
        .content_policy = "default-src 'none'; style-src 'self'; script-src 'self'; form-action "
                          "'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        .error_page = sp_portal_page_error,
    };
    enum sp_rc rc;

    p->o = *options;
    p->o.kek = NULL; /* not ours */
    sp_list_init(&p->waits);
    derive_keys(p, options->kek);
    rc = open_files(p, err);
    if (rc != SP_OK)
        return rc;
    p->web = sp_web_server_new(&web);
    p->sweep_timer = sp_timer_new(options->loop, on_sweep, p);
    sp_timer_start(p->sweep_timer, PORTAL_SWEEP_MS);
    p->due_timer = sp_timer_new(options->loop, sp_portal_remind, p);
    sp_timer_start(p->due_timer, 0);
    *out = SP_STEAL(p);
    return SP_OK;
}

void sp_portal_free(struct sp_portal *p)
{
    if (p == NULL)
        return;
    sp_web_server_free(p->web);
    SP_LIST_EACH(pos, &p->waits)
    {
        struct portal_wait *w = SP_CONTAINER(pos, struct portal_wait, in_portal);

        sp_wipe(w, sizeof(*w));
        sp_free(w);
    }
    if (p->sweep_timer != NULL)
        sp_timer_free(p->sweep_timer);
    if (p->due_timer != NULL)
        sp_timer_free(p->due_timer);
    sp_store_free(p->store);
    sp_aead_free(p->kek);
    sp_free(p->reporting);
    sp_free(p->due);
    sp_free(p->packages_dir);
    sp_wipe(p, sizeof(*p));
    sp_free(p);
}

void sp_portal_listen(struct sp_portal *p, int fd)
{
    sp_web_server_listen(p->web, fd);
}

void sp_portal_accept(struct sp_portal *p, int fd)
{
    struct sp_addr peer = {0};

    peer.len = sizeof(peer.u);
    if (getpeername(fd, &peer.u.sa, &peer.len) != 0)
        peer = (struct sp_addr){0};
    sp_web_server_accept(p->web, fd, &peer);
}

void sp_portal_drain(struct sp_portal *p, int64_t limit_ms, void (*on_idle)(void *arg), void *arg)
{
    sp_web_server_drain(p->web, limit_ms, on_idle, arg);
}
