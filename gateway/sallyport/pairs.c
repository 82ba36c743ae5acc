/*
 * The certificates that we show: the listeners' first one, more of them by name, the portal's. Here they are found, read and
 * checked, because the supervisor is the last who still has the one before when a renewal is no good. The roles get bytes.
 */
#include "gateway/sallyport/supervisor.h"

#include <stdio.h>
#include <sys/stat.h>

#define FILE_LEN_MAX ((size_t)1024 * 1024)
#define PARTS        3

bool pair_at(const struct sp_config *c, size_t at, struct pair *out)
{
    bool portal_own = c->portal.certificate[0] != '\0';

    if (at == 0) {
        *out = (struct pair){"tls", c->tls.certificate, c->tls.key, c->tls.staple,
                             1U << SP_ROLE_RELAY};
    } else if (at == 1) {
        *out = (struct pair){"portal", portal_own ? c->portal.certificate : c->tls.certificate,
                             portal_own ? c->portal.key : c->tls.key, "", 1U << SP_ROLE_PORTAL};
    } else if (at - 2 < c->tls.certificate_count) {
        const struct sp_config_certificate *one = &c->tls.certificates[at - 2];

        *out = (struct pair){"", one->certificate, one->key, one->staple, 1U << SP_ROLE_RELAY};
        snprintf(out->name, sizeof(out->name), "tls.certificates.%zu", at - 2);
    } else {
        return false;
    }
    return true;
}

static enum sp_rc read_one(const char *folder, const char *name, struct sp_buf *out,
                           struct sp_err *err)
{
    char path[PATH_LEN_MAX];

    if (sp_config_place(name, folder, path, PATH_LEN_MAX) != SP_OK)
        return sp_fail(err, SP_E_IO, "%s: no such credential, or too long a path", name);
    return file_read(path, out, err);
}

enum sp_rc pair_read(const char *folder, const struct pair *p, struct pair_files *out,
                     struct sp_err *err)
{
    struct sp_err inner;
    enum sp_rc rc;

    sp_buf_init(&out->certificate, FILE_LEN_MAX);
    sp_buf_init(&out->key, FILE_LEN_MAX);
    sp_buf_init(&out->staple, FILE_LEN_MAX);
    rc = read_one(folder, p->certificate, &out->certificate, &inner);
    if (rc == SP_OK)
        rc = read_one(folder, p->key, &out->key, &inner);
    if (rc == SP_OK)
        rc = sp_pair_check(sp_buf_bytes(&out->certificate), sp_buf_bytes(&out->key), &out->what,
                           &inner);
    if (rc != SP_OK)
        return sp_fail(err, rc, "%s: %s with %s: %s", p->name, p->certificate, p->key, inner.text);
    if (p->staple[0] != '\0' && read_one(folder, p->staple, &out->staple, &inner) != SP_OK)
        sp_buf_reset(&out->staple); /* without one TLS goes on as well */
    return SP_OK;
}

void pair_clear(struct pair_files *f)
{
    sp_buf_clear(&f->certificate);
    sp_buf_wipe(&f->key);
    sp_buf_clear(&f->staple);
}

enum sp_rc pair_put(struct sp_role_bundle *b, const struct pair *p, const struct pair_files *f)
{
    const struct {
        const char *name;
        const struct sp_buf *data;
    } parts[PARTS] = {{"certificate", &f->certificate}, {"key", &f->key}, {"staple", &f->staple}};
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < PARTS && rc == SP_OK; i++) {
        char name[80];

        snprintf(name, sizeof(name), "secret/%s.%s", p->name, parts[i].name);
        rc = sp_role_bundle_add(b, name, sp_buf_bytes(parts[i].data));
    }
    return rc;
}

static uint64_t mix(uint64_t stamp, uint64_t value)
{
    return (stamp ^ value) * 0x100000001b3;
}

static uint64_t stamp_of(const char *folder, const char *name)
{
    char path[PATH_LEN_MAX];
    struct stat st;
    uint64_t stamp = 0xcbf29ce484222325;

    if (name[0] == '\0' || sp_config_place(name, folder, path, PATH_LEN_MAX) != SP_OK ||
        stat(path, &st) != 0)
        return 0;
    stamp = mix(stamp, (uint64_t)st.st_dev);
    stamp = mix(stamp, (uint64_t)st.st_ino);
    stamp = mix(stamp, (uint64_t)st.st_size);
    stamp = mix(stamp, (uint64_t)st.st_mtim.tv_sec);
    stamp = mix(stamp, (uint64_t)st.st_mtim.tv_nsec);
    return mix(stamp, (uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec);
}

uint64_t pairs_stamp(const char *folder, const struct sp_config *c)
{
    uint64_t stamp = 0;
    struct pair p;

    for (size_t i = 0; pair_at(c, i, &p); i++) {
        stamp = mix(stamp, stamp_of(folder, p.certificate));
        stamp = mix(stamp, stamp_of(folder, p.key));
        stamp = mix(stamp, stamp_of(folder, p.staple));
    }
    return stamp;
}
