/*
 * The private gpg home of one sealer: made anew at each start, so that nothing of a crashed one is left, with the
 * tenants' signing keys and no others. Recipients' keys never enter its ring: they come with each job and are handed to gpg
 * as files, whose rate does not fall with the number of keys known (dependencies were measured: importing is slow, looking
 * up grows with the ring). One process uses the home, so gpg need not lock it.
 */
#include "pgp/pgp_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GPG      "/usr/bin/gpg"
#define HOME_MAX 80 /* "/S.gpg-agent" and a NUL must fit sun_path behind it */

static const char gpg_conf[] = "no-autostart\nlock-never\nno-random-seed-file\n"
                               "no-auto-check-trustdb\ntrust-model always\nno-comments\n"
                               "no-emit-version\nno-greeting\n"
                               "personal-cipher-preferences AES256 AES192 AES\n"
                               "personal-digest-preferences SHA512 SHA384 SHA256\n"
                               "cert-digest-algo SHA256\n";
static const char agent_conf[] = "disable-scdaemon\nno-grab\nbatch\n";

enum sp_rc sp_pgp_fail(struct sp_err *err, enum sp_rc rc, const char *what, gpgme_error_t code)
{
    char text[128];

    if (gpgme_strerror_r(code, text, sizeof(text)) != 0)
        text[0] = 0;
    return sp_fail(err, rc, "%s: %s", what, text);
}

enum sp_rc sp_pgp_write_file(const struct sp_pgp *p, const char *name, struct sp_bytes data,
                             struct sp_err *err)
{
    char path[HOME_MAX + 64];
    size_t at = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", p->home, name);
    fd = SP_FAULT_ERRNO("pgp.open", ENOSPC)
             ? -1
             : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return sp_fail_errno(err, SP_E_IO, errno, "can't open a file for gpg");
    while (at < data.len) {
        ssize_t n =
            SP_FAULT_ERRNO("pgp.write", ENOSPC) ? -1 : write(fd, data.ptr + at, data.len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int saved = errno;

            close(fd);
            return sp_fail_errno(err, SP_E_IO, saved, "can't write a file for gpg");
        }
        at += (size_t)n;
    }
    close(fd);
    return SP_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind;
    return ftw->level == 0 ? 0 : remove(path);
}

static enum sp_rc open_context(struct sp_pgp *p, struct sp_err *err)
{
    gpgme_error_t e;

    gpgme_check_version(NULL);
    e = gpgme_new(&p->ctx);
    if (e == 0)
        e = gpgme_ctx_set_engine_info(p->ctx, GPGME_PROTOCOL_OpenPGP, GPG, p->home);
    if (e == 0)
        e = gpgme_set_pinentry_mode(p->ctx, GPGME_PINENTRY_MODE_ERROR);
    if (e != 0)
        return sp_pgp_fail(err, SP_E_PGP_FAILED, "gpg does not run", e);
    gpgme_set_offline(p->ctx, 1);
    gpgme_set_armor(p->ctx, 1);
    return SP_OK;
}

enum sp_rc sp_pgp_new(const char *home, struct sp_pgp **out, struct sp_err *err)
{
    SP_AUTO(sp_pgp) p = sp_calloc(1, sizeof(*p));
    enum sp_rc rc;

    if (strlen(home) > HOME_MAX)
        return sp_fail(err, SP_E_LIMIT, "the path of gpg's home is longer than %d bytes", HOME_MAX);
    p->home = sp_strdup(home);
    if (chmod(home, 0700) != 0 || nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        return sp_fail_errno(err, SP_E_IO, errno, "can't empty gpg's home");
    rc = sp_pgp_write_file(p, "gpg.conf", sp_bytes_cstr(gpg_conf), err);
    if (rc == SP_OK)
        rc = sp_pgp_write_file(p, "gpg-agent.conf", sp_bytes_cstr(agent_conf), err);
    if (rc == SP_OK)
        rc = open_context(p, err);
    if (rc == SP_OK)
        rc = sp_pgp_agent_start(p, err);
    if (rc == SP_OK)
        *out = SP_STEAL(p);
    return rc;
}

void sp_pgp_free(struct sp_pgp *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->signer_count; i++)
        gpgme_key_unref(p->signers[i]);
    if (p->ctx != NULL)
        gpgme_release(p->ctx);
    sp_pgp_agent_end(p);
    if (p->home != NULL)
        nftw(p->home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    sp_free(p->home);
    sp_free(p);
}

static enum sp_rc import_secret(struct sp_pgp *p, struct sp_bytes secret, const char **fingerprint,
                                struct sp_err *err)
{
    gpgme_import_result_t result;
    gpgme_data_t data;
    gpgme_error_t e =
        gpgme_data_new_from_mem(&data, (const char *)secret.ptr, secret.len, 0 /* no copy */);

    if (e != 0)
        return sp_pgp_fail(err, SP_E_PGP_FAILED, "no memory for gpg", e);
    e = SP_FAULT("pgp.import") ? gpgme_error_from_errno(ENOMEM) : gpgme_op_import(p->ctx, data);
    gpgme_data_release(data);
    if (e != 0)
        return sp_pgp_fail(
            err, gpgme_err_code(e) == GPG_ERR_NO_DATA ? SP_E_KEYS_FORMAT : SP_E_PGP_FAILED,
            "gpg could not import the signing key", e);
    result = gpgme_op_import_result(p->ctx);
    if (result == NULL || result->considered == 0 || result->secret_read == 0 ||
        result->imports == NULL || result->imports->fpr == NULL)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the file holds no secret key");
    if (result->secret_imported + result->secret_unchanged != 1)
        return sp_fail(err, SP_E_KEYS_FORMAT,
                       "gpg took %d secret keys of the file; one without a pass phrase is wanted",
                       result->secret_imported);
    *fingerprint = result->imports->fpr;
    return SP_OK;
}

enum sp_rc sp_pgp_signer_add(struct sp_pgp *p, struct sp_bytes secret, char *fingerprint,
                             struct sp_err *err)
{
    const char *imported = NULL;
    gpgme_error_t e;
    enum sp_rc rc;

    if (p->signer_count == SP_PGP_SIGNERS_MAX)
        return sp_fail(err, SP_E_LIMIT, "more than %d signing keys", SP_PGP_SIGNERS_MAX);
    rc = sp_pgp_agent_start(p, err);
    if (rc == SP_OK)
        rc = import_secret(p, secret, &imported, err);
    if (rc != SP_OK)
        return rc;
    snprintf(fingerprint, SP_PGP_FINGERPRINT_MAX, "%s", imported);
    e = gpgme_get_key(p->ctx, fingerprint, &p->signers[p->signer_count], 1);
    if (e != 0)
        return sp_pgp_fail(err, SP_E_PGP_FAILED, "gpg does not find the signing key", e);
    p->signer_count++;
    if (!p->signers[p->signer_count - 1]->can_sign)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the key can't sign, or has expired");
    return SP_OK;
}
